"""Closing Slack's own Socket Mode client without its waits."""

from slack_bolt.adapter.socket_mode.websocket_client import SocketModeHandler

from .server import SlackServer


def close_handler(slack: SlackServer, handler: SocketModeHandler) -> None:
    """Closes the handler within milliseconds; ``handler.close()`` alone takes up to ten seconds.

    Its reading thread waits in ``select`` for ten seconds and may not notice that another thread
    closed the socket, and its queue is looked at once a second. Here the server hangs up, which the
    one notices, and something in the queue wakes the other.
    """
    client = handler.client
    client.default_auto_reconnect_enabled = client.auto_reconnect_enabled = False
    slack.drop_connections()
    slack.wait_for(lambda: not client.is_connected())
    client.closed = True
    client.message_queue.put(None)
    handler.close()  # type: ignore[no-untyped-call]
