"""Texts as token ids: tokenised once, kept in a memory-mapped file, cut into padded batches by index arithmetic."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from datasets.folders import alone, new_folder
from datasets.text import rewriter

if TYPE_CHECKING:
    from datasets.store import PostStore

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
FORMAT = 1
"""Version of the cache's files; a change makes old caches unknown, not wrong."""
CHUNK = 8192
"""Texts handed to the tokenizer at once: enough for its threads, small in memory."""
WIDTH_STEP = 8
"""Batches are padded to a multiple of this, so that few shapes occur and tensor cores can be used."""


def train_tokenizer(texts: Iterable[str], folder: Path, vocab_size: int = 8000) -> Any:
    """Train a lower-casing byte-level BPE tokenizer on `texts`, save it in `folder` and return it.

    Byte-level, so that every emoji and every script has tokens and nothing is unknown. The folder loads with
    `transformers.PreTrainedTokenizerFast.from_pretrained`; ids 0 to 4 are [PAD], [UNK], [CLS], [SEP], [MASK]. Where
    the folder is there already, the tokenizer in it stays and is what is returned.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, mask_token="[MASK]", **names)
    with new_folder(Path(folder)) as temporary:
        save_tokenizer(fast, temporary)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Save it in `folder`. Raises OSError where the disk refuses, which the tokenizers library tells in words only."""
    try:
        tokenizer.save_pretrained(folder)
    except Exception as error:
        found = re.search(r"\(os error (\d+)\)", str(error))
        if isinstance(error, OSError) or found is None:
            raise
        number = int(found[1])
        raise OSError(number, os.strerror(number), str(folder)) from error


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """sha256 of all that decides which ids a text gets; where the tokenizer was loaded from plays no part."""
    digest = hashlib.sha256(repr(sorted(tokenizer.special_tokens_map.items())).encode())
    if getattr(tokenizer, "is_fast", False):
        state = json.loads(tokenizer.backend_tokenizer.to_str())
        # Every call with truncation or padding leaves its setting behind.
        state.pop("truncation", None)
        state.pop("padding", None)
        digest.update(json.dumps(state, sort_keys=True).encode())
        return digest.hexdigest()
    plain = {key: value for key, value in tokenizer.init_kwargs.items() if isinstance(value, (bool, int, float))}
    digest.update(repr((type(tokenizer).__name__, sorted(plain.items()))).encode())
    with tempfile.TemporaryDirectory() as folder:
        for name in sorted(tokenizer.save_vocabulary(folder)):
            digest.update(Path(name).read_bytes())
    return digest.hexdigest()


class TokenCache:
    """The token ids of one text column of a store: ragged, memory-mapped, built once.

    Built on first use in a sub-folder of `folder` named by the fingerprints of column and tokenizer, the column,
    `length` (tokens at most, special ones included) and `rule` (how texts are rewritten first, one of
    datasets.text.TEXT_RULES); opened from there ever after. Posts without a text have no tokens. Pickles as its path,
    so worker processes share the mapped file.
    """

    def __init__(
        self,
        store: PostStore,
        tokenizer: Any,
        length: int,
        folder: Path | str,
        column: str = "text",
        rule: str = "none",
    ) -> None:
        """`column`: "text" or "paraphrase". Raises ValueError where the tokenizer cannot mask or the disk refuses."""
        assert column in ("text", "paraphrase")
        self.length = length
        mask_id = tokenizer.mask_token_id if tokenizer.mask_token_id is not None else tokenizer.unk_token_id
        if mask_id is None:
            raise ValueError("the tokenizer of --text_net has neither a mask nor an unknown token to hide words with")
        self.mask_id: int = mask_id
        self.pad_id: int = tokenizer.pad_token_id or 0  # masked out everywhere, so 0 does where there is none
        self.special_ids: tuple[int, ...] = tuple(sorted({*tokenizer.all_special_ids} - {tokenizer.unk_token_id}))
        """Ids that a strong view leaves alone. Unknown is not among them: it stands for a word of the text."""
        key = repr((FORMAT, store.fingerprint_of(column), tokenizer_fingerprint(tokenizer), column, length, rule))
        self.fingerprint: str = hashlib.sha256(key.encode()).hexdigest()
        self.path = Path(folder) / f"tokens-{column}-{self.fingerprint[:16]}"
        if not self.path.is_dir():
            with alone(self.path):
                if not self.path.is_dir():  # another run may have built it meanwhile
                    _build(store, tokenizer, length, column, rule, self.path)
        self._open()
        if len(self) != len(store):
            raise ValueError(f"{self.path} holds {len(self)} texts for {len(store)} posts; delete that folder")

    def _open(self) -> None:
        # Plain arrays over the mapped files: indexing numpy.memmap itself costs several times as much.
        self._ids = np.asarray(np.load(self.path / "ids.npy", mmap_mode="r"))
        self._offsets = np.asarray(np.load(self.path / "offsets.npy", mmap_mode="r"))

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_ids", "_offsets")}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._open()

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """(N,) int64: tokens of each text, special ones included."""
        return np.diff(self._offsets)

    def count(self, rows: np.ndarray) -> np.ndarray:
        """(B,) int64: tokens of the texts in `rows`."""
        return self._offsets[np.asarray(rows) + 1] - self._offsets[rows]

    def rows(self, rows: np.ndarray, fixed: bool = False) -> tuple[Tensor, Tensor]:
        """Token ids (B, L) int64 and mask (B, L) bool of the posts in `rows`.

        L is the longest of them rounded up to a multiple of 8, `length` at most; with `fixed` always `length`.
        """
        start = self._offsets[rows]
        count = self.count(rows)
        longest = int(count.max(initial=1))
        width = self.length if fixed else min(self.length, -(-longest // WIDTH_STEP) * WIDTH_STEP)
        place = np.arange(width)
        mask = place < count[:, None]
        ids = np.full(mask.shape, self.pad_id, dtype=np.int64)
        ids[mask] = self._ids[(start[:, None] + place)[mask]]
        return torch.from_numpy(ids), torch.from_numpy(mask)


def _build(store: PostStore, tokenizer: Any, length: int, column: str, rule: str, path: Path) -> None:
    """Tokenise a column in batches and write `ids.npy` and `offsets.npy`; O(1) memory a text but for its length."""
    read = store.texts if column == "text" else store.paraphrases
    rewrite = rewriter(rule)
    dtype = np.dtype(np.uint16 if len(tokenizer) <= 2**16 else np.int32)
    counts = np.zeros(len(store) + 1, dtype=np.int64)
    with new_folder(path) as folder:
        with open(folder / "ids.npy", "wb") as file:
            # The header is written again with the true length, in the same space, when that is known.
            _write_header(file, dtype, 0)
            for start in range(0, len(store), CHUNK):
                rows = np.arange(start, min(start + CHUNK, len(store)))
                texts = read(rows)
                there = [place for place, text in enumerate(texts) if text]
                if not there:
                    continue
                encoded = tokenizer(
                    [rewrite(texts[place]) for place in there],
                    truncation=True,
                    max_length=length,
                    return_attention_mask=False,
                )["input_ids"]
                counts[1 + start + np.array(there)] = [len(ids) for ids in encoded]
                file.write(np.concatenate([np.array(ids, dtype=dtype) for ids in encoded]).tobytes())
            offsets = counts.cumsum()
            file.seek(0)
            _write_header(file, dtype, int(offsets[-1]))
        np.save(folder / "offsets.npy", offsets)


def _write_header(file: Any, dtype: np.dtype, length: int) -> None:
    """The .npy header of a one-dimensional array; NumPy pads it so that it has one size for every length."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(file, header)
