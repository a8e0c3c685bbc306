"""The settings of models that make vectors: how much is read at once, and what that takes."""

import pytest

from models.headers.pooling import Pooling
from models.headers.reader import parse
from models.headers.shape import ModelShape, shape_of
from runner.hardware.described_group import parse_hardware
from runner.planning.placement import place
from runner.planning.settings import TEXTS_AT_ONCE
from runner.types.plan import Verdict
from runner.types.reasons import LessThanTrained
from runner.types.vectors import Purpose
from runner.types.wish import Wish
from scripts.synthetic.embedders import EMBEDDERS
from scripts.synthetic.headers import entries, header_bytes, metadata

LAPTOP = parse_hardware("cpu,ram=16g@50gbps")
LAST = Wish(use=Purpose.EMBED, pooling=Pooling.LAST)
MEAN = Wish(use=Purpose.EMBED, pooling=Pooling.MEAN)


def shape(name: str) -> ModelShape:
    geometry = EMBEDDERS[name].geometry
    return shape_of([parse(header_bytes(metadata(geometry, "F16", "none"), entries(geometry, "F16")))])


@pytest.mark.parametrize(
    ("name", "wish", "ctx", "ubatch"),
    [
        ("nomic-bert", MEAN, 2048, 2048),
        ("qwen3-embedding", LAST, 4096, 512),
        ("qwen3-embedding", MEAN, 4096, 4096),
        ("qwen3-embedding", Wish(use=Purpose.EMBED, pooling=Pooling.LAST, ctx=1000, ubatch=64), 1024, 64),
        ("nomic-bert", Wish(use=Purpose.EMBED, pooling=Pooling.MEAN, ctx=600, ubatch=64), 768, 768),
    ],
)
@pytest.mark.parametrize("hardware", ["cpu,ram=16g", "rtx-3090"])
def test_a_text_is_read_at_once_unless_it_is_read_from_left_to_right(
    name: str, wish: Wish, ctx: int, ubatch: int, hardware: str
) -> None:
    placement = place(shape(name), parse_hardware(hardware), wish).placement
    assert placement is not None
    assert (placement.ctx, placement.ubatch, placement.outputs) == (ctx, ubatch, ubatch)
    assert placement.sequences == TEXTS_AT_ONCE and placement.pooling is wish.pooling


def test_logits_that_nobody_asks_for_are_in_the_ledger_where_there_are_some() -> None:
    decoder, encoder = shape("qwen3-embedding"), shape("nomic-bert")
    few, many = (
        place(decoder, LAPTOP, Wish(use=Purpose.EMBED, pooling=Pooling.LAST, ubatch=ubatch)).memory[-1]
        for ubatch in (64, 512)
    )
    assert many.overhead - few.overhead == 4 * decoder.vocabulary * (512 - 64)
    assert place(encoder, LAPTOP, MEAN).memory[-1].overhead == 4 * encoder.vocabulary * 2048


def test_shorter_texts_are_taken_where_long_ones_do_not_fit() -> None:
    small = parse_hardware("cpu,ram=16g")
    whole = place(shape("qwen3-embedding"), small, MEAN)
    tight = place(
        shape("qwen3-embedding"), small, Wish(use=Purpose.EMBED, pooling=Pooling.MEAN, ram_limit=(1 << 30) + (24 << 20))
    )
    assert whole.placement is not None and tight.placement is not None
    assert tight.verdict is Verdict.CPU and tight.placement.ctx < whole.placement.ctx
    assert any(isinstance(reason, LessThanTrained) for reason in tight.reasons)
