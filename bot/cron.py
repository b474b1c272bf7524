"""Whether a cron expression is one."""

from __future__ import annotations

from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from bot.errors import ConfigurationError


def check_cron(cron: str) -> None:
    """Make sure that ``cron`` names times.

    Raises:
        ConfigurationError: it does not.
    """
    try:
        next(CronSim(cron, datetime(2026, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        why = str(error) or "it names no time"
        raise ConfigurationError(
            f'SPANBOT_REINDEX_CRON is "{cron}", which is no cron expression ({why}); write one '
            'like "0 3 * * *" for three o\'clock every morning'
        ) from error
