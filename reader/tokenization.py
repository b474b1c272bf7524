"""Word pieces with character offsets, for cased and uncased BERT checkpoints.

A checkpoint's own tokenizer files are obeyed. A folder that holds only ``vocab.txt`` says nothing
about casing, and the usual default (lower-case everything) silently ruins cased models such as
SpanBERT: "Everest" becomes ``ever ##est``. Here a vocabulary with upper-case pieces means cased.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.decoders import WordPiece as WordPieceDecoder
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from reader.errors import CheckpointError
from reader.files import lines_of
from reader.output import write_text

_log = logging.getLogger(__name__)

#: BERT's position table; a checkpoint's configuration may lower it, never a missing file raise it.
DEFAULT_MAX_LENGTH = 512

#: Rows of an embedding that no piece needs: padding to a multiple of 8, 64 or 128, and tokens that
#: were added in a file that is not read; a small network's are fewer than this share.
_SPARE_ROWS = 256
_SPARE_SHARE = 0.25

_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True, slots=True)
class Pieces:
    """A text as word pieces: ids, and for each the characters ``text[start:end]`` it stands for."""

    ids: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class WordPieces:
    """A text as word pieces, with the number of the word that each belongs to."""

    ids: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]
    words: tuple[int | None, ...]

    def __len__(self) -> int:
        return len(self.ids)


class PieceTokenizer:
    """A WordPiece tokenizer without templates, padding or truncation: only pieces and offsets."""

    def __init__(self, tokenizer: Tokenizer, *, max_length: int = DEFAULT_MAX_LENGTH) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        self.max_length = max_length
        self.cls_id = self._special("[CLS]")
        self.sep_id = self._special("[SEP]")
        self.pad_id = self._special("[PAD]")
        self.unk_id = self._special("[UNK]")

    @classmethod
    def from_folder(cls, folder: Path) -> PieceTokenizer:
        """Read a checkpoint's tokenizer.

        Raises:
            CheckpointError: no tokenizer file, or one that cannot be read.
        """
        settings = _read_settings(folder)
        max_length = settings.get("model_max_length")
        if not isinstance(max_length, int) or not 8 <= max_length <= 1_000_000:
            max_length = DEFAULT_MAX_LENGTH
        if (folder / "tokenizer.json").is_file():
            try:
                tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            except Exception as error:  # the Rust side raises plain Exception
                raise CheckpointError(
                    f"{folder / 'tokenizer.json'} cannot be read: {error}"
                ) from error
        elif (folder / "vocab.txt").is_file():
            tokenizer = _from_vocabulary(folder, settings)
        else:
            raise CheckpointError(
                f"{folder} holds no tokenizer.json and no vocab.txt; a BERT checkpoint needs one"
            )
        return cls(tokenizer, max_length=max_length)

    @property
    def vocabulary_size(self) -> int:
        """The highest id and one more: the embeddings that it takes."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    def check_fits(self, rows: int, name: str) -> None:
        """Whether a network with so many rows of word embeddings can have been trained with it.

        Raises:
            CheckpointError: it has more pieces, or fewer by more than padding explains.
        """
        size = self.vocabulary_size
        if size > rows:
            raise CheckpointError(
                f"{name}: the tokenizer has {size} pieces, the network only {rows}; the vocabulary "
                "belongs to another model"
            )
        if rows - size > min(_SPARE_ROWS, int(_SPARE_SHARE * rows)):
            raise CheckpointError(
                f"{name}: the tokenizer has only {size} pieces, the network {rows}; the vocabulary "
                "belongs to another model or is cut off; take the one that it was trained with"
            )

    def vocabulary(self) -> list[str]:
        """Every piece in order of its id; ``""`` where an id is not in use."""
        numbers = self._tokenizer.get_vocab(with_added_tokens=True)
        pieces = [""] * (max(numbers.values()) + 1)
        for piece, number in numbers.items():
            pieces[number] = piece
        return pieces

    def pieces(self, text: str) -> Pieces:
        return self.pieces_batch([text])[0]

    def pieces_batch(self, texts: Sequence[str]) -> list[Pieces]:
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [Pieces(tuple(encoding.ids), tuple(encoding.offsets)) for encoding in encodings]

    def ids_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids alone, for texts too many for offsets."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def word_pieces(self, text: str) -> WordPieces:
        """The pieces of a text with their words, as the tokenizer's pre-tokenizer cuts them."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        offsets = tuple((int(start), int(end)) for start, end in encoding.offsets)
        return WordPieces(tuple(encoding.ids), offsets, tuple(encoding.word_ids))

    def save(self, folder: Path) -> None:
        """Write ``tokenizer.json`` and ``tokenizer_config.json`` into the folder.

        Raises:
            OutputError: they cannot be written.
        """
        write_text(folder / "tokenizer.json", self._tokenizer.to_str(pretty=True))
        settings = {"tokenizer_class": "BertTokenizer", "model_max_length": self.max_length}
        write_text(folder / "tokenizer_config.json", json.dumps(settings, indent=2) + "\n")

    def _special(self, token: str) -> int:
        number = self._tokenizer.token_to_id(token)
        if number is None:
            raise CheckpointError(f"the tokenizer has no {token} token; it is not a BERT tokenizer")
        return int(number)


def _read_settings(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    if not path.is_file():
        return {}
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    return settings if isinstance(settings, dict) else {}


def _from_vocabulary(folder: Path, settings: dict[str, Any]) -> Tokenizer:
    path = folder / "vocab.txt"
    try:
        lines = lines_of(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    vocabulary = {piece: number for number, piece in enumerate(lines)}
    lower = settings.get("do_lower_case")
    if not isinstance(lower, bool):
        has_upper = any(
            any(c.isupper() for c in piece) for piece in lines if not piece.startswith("[")
        )
        lower = not has_upper
        _log.warning(
            "%s does not say whether the model is cased; its vocabulary %s upper-case pieces, so "
            "text is %s",
            folder,
            "has" if has_upper else "has no",
            "lower-cased" if lower else "left in its case",
        )
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=lower
    )
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.decoder = WordPieceDecoder(prefix="##")
    # As in a tokenizer.json: their names in a text are they, and are not cut into letters.
    tokenizer.add_special_tokens([piece for piece in _SPECIALS if piece in vocabulary])
    return tokenizer
