"""Views: hand-computed cases, and what must hold for every draw."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from datasets.augment import ViewMaker
from datasets.augment_image import STRONG_DRAWS, SWITCH, normalise, strong_view, weak_view
from datasets.augment_text import paraphrased, strong_tokens
from datasets.batch import Batch

OFF, ON = 0.99, 0.0
GEOMETRY = ("rotation", "shear_x", "shear_y", "move_x", "move_y", "scale")
OPERATIONS = (*GEOMETRY, "brightness", "contrast", "saturation", "posterise", "solarise")
GREY = torch.tensor([127.0] * 3)
PAD, CLS, SEP, MASK = 0, 2, 3, 4
SPECIAL = torch.tensor([PAD, CLS, SEP, MASK])


def images(count=4, side=16, seed=0):
    shape = (count, 3, side, side)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def strong_draws(count, **sizes):
    """Draws with everything off but the operations named: their sizes 0 to 1, `flip`, `cutout` = (x, y, w, h)."""
    draws = torch.full((count, STRONG_DRAWS), OFF)
    draws[:, -4:] = torch.tensor(sizes.pop("cutout", (0.5, 0.5, 0.0, 0.0)))
    draws[:, -5] = 0.0 if sizes.pop("flip", False) else OFF
    for name, size in sizes.items():
        draws[:, OPERATIONS.index(name)] = ON
        draws[:, len(OPERATIONS) + OPERATIONS.index(name)] = size
    return draws


def test_normalise_by_hand():
    mean, std = torch.tensor([0.5, 0.4, 0.0]), torch.tensor([0.5, 0.2, 1.0])
    pixel = torch.tensor([255, 102, 51], dtype=torch.uint8).view(1, 3, 1, 1)
    assert torch.allclose(normalise(pixel, mean, std).flatten(), torch.tensor([1.0, 0.0, 0.2]), atol=1e-6)


def test_weak_view_is_reflection_padding_a_crop_and_a_flip():
    raw = images(200, 16)
    draws = torch.rand(200, 3, generator=torch.Generator().manual_seed(1))
    padded = torch.nn.functional.pad(raw.float(), (2, 2, 2, 2), mode="reflect").to(torch.uint8)
    seen = set()
    for place, view in enumerate(weak_view(raw, draws)):
        down, across = (int(value * 5) for value in draws[place, :2])  # shifts of -2 to 2 pixels: 12.5 % of 16
        crop = padded[place, :, down : down + 16, across : across + 16]
        flipped = bool(draws[place, 2] < 0.5)
        assert torch.equal(view, crop.flip(2) if flipped else crop)
        seen.add((down, across, flipped))
    assert len(seen) > 40  # of 5 x 5 x 2


def test_strong_view_with_everything_off_is_the_image():
    raw = images()
    assert torch.allclose(strong_view(raw, strong_draws(4), GREY), raw.float(), atol=255 * 6e-5)


def test_strong_view_flips_exactly():
    raw = images()
    assert torch.allclose(strong_view(raw, strong_draws(4, flip=True), GREY), raw.flip(3).float(), atol=255 * 6e-5)


def test_strong_view_moves_by_a_quarter_with_reflection():
    raw = images(1, 16)
    moved = strong_view(raw, strong_draws(1, move_x=1.0), GREY)[0]
    expected = torch.cat([raw[0, :, :, 4:], raw[0, :, :, 12:].flip(2)], 2).float()
    assert torch.allclose(moved, expected, atol=0.1)


def test_strong_view_rotates_about_the_centre():
    """A bar from the centre to the right is turned by 30 degrees, its length kept."""
    raw = torch.zeros(1, 3, 65, 65, dtype=torch.uint8)
    raw[..., 31:34, 32:60] = 255
    turned = strong_view(raw, strong_draws(1, rotation=1.0), GREY)[0, 0] > 127
    down, across = turned.nonzero().float().mean(0) - 32
    assert abs(math.degrees(math.atan2(down, across))) == pytest.approx(30, abs=1)
    assert math.hypot(down, across) == pytest.approx(13.5, abs=0.7)


@pytest.mark.parametrize(("size", "factor"), [(1.0, 1 / math.sqrt(2)), (0.0, math.sqrt(2))])
def test_strong_view_scales(size, factor):
    raw = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    raw[..., 24:40, 24:40] = 255
    area = (strong_view(raw, strong_draws(1, scale=size), GREY)[0, 0] > 127).sum()
    assert area.sqrt() == pytest.approx(16 * factor, abs=1)


@pytest.mark.parametrize(
    ("operation", "size", "expected"),
    [
        # The post has one pixel (200, 100, 0) and one (0, 0, 0): greys 118.5 and 0, mean grey 59.25.
        ("brightness", 0.25, (120, 60, 0)),  # x 0.6
        ("contrast", 0.25, (143.7, 83.7, 23.7)),  # 59.25 + 0.6 (v - 59.25)
        ("saturation", 0.0, (134.8, 114.8, 94.8)),  # 118.5 + 0.2 (v - 118.5)
        ("posterise", 1.0, (192, 96, 0)),  # steps of 16
        ("solarise", 0.5, (55, 100, 0)),  # over 191.25 it is 255 - v
    ],
)
def test_colour_operations_by_hand(operation, size, expected):
    raw = torch.zeros(1, 3, 1, 2, dtype=torch.uint8)
    raw[0, :, 0, 0] = torch.tensor([200, 100, 0])
    seen = strong_view(raw, strong_draws(1, **{operation: size}), GREY)[0, :, 0, 0]
    assert torch.allclose(seen, torch.tensor(expected, dtype=torch.float32), atol=0.05)


def test_colours_combined_are_the_operations_one_after_the_other():
    raw = images(1)
    values = raw.float() * (1 + 0.8 * 0.2)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    middle = (values * weights).sum(1, keepdim=True).mean()
    values = middle + (values - middle) * (1 - 0.8 * 0.4)
    grey = (values * weights).sum(1, keepdim=True)
    values = (grey + (values - grey) * (1 + 0.8 * 0.6)).clamp(0, 255)
    seen = strong_view(raw, strong_draws(1, brightness=0.6, contrast=0.3, saturation=0.8), GREY)
    assert torch.allclose(seen, values, atol=0.05)


def test_cutout_fills_one_rectangle():
    raw = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    seen = strong_view(raw, strong_draws(1, cutout=(0.5, 0.25, 1.0, 0.5)), torch.tensor([10.0, 20.0, 30.0]))[0]
    expected = torch.zeros(3, 16, 16)
    expected[:, 2:6, 4:12] = torch.tensor([10.0, 20.0, 30.0]).view(3, 1, 1)  # half as wide, a quarter as high
    assert torch.allclose(seen, expected, atol=0.02)


def test_strong_view_stays_in_range_and_treats_posts_one_by_one():
    raw = images(32)
    draws = torch.rand(32, STRONG_DRAWS, generator=torch.Generator().manual_seed(2))
    seen = strong_view(raw, draws, GREY)
    assert seen.min() >= 0 and seen.max() <= 255
    assert (draws[:, : len(OPERATIONS)] < SWITCH).any(0).all()  # each operation was on somewhere
    alone = torch.cat([strong_view(raw[i : i + 1], draws[i : i + 1], GREY) for i in range(32)])
    assert torch.allclose(seen, alone, atol=0.1)


def test_strong_view_is_one_graph():
    """Fails on a graph break: no decision and no read of the host depends on the data."""
    compiled = torch.compile(strong_view, fullgraph=True, backend="eager")
    raw, draws = images(3), torch.rand(3, STRONG_DRAWS, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(compiled(raw, draws, GREY), strong_view(raw, draws, GREY), atol=0.1)
    tokens = torch.compile(strong_tokens, fullgraph=True, backend="eager")
    ids, mask = sentences(5, 12)
    numbers = torch.rand(5, 12)
    for found, expected in zip(
        tokens(ids, mask, numbers, 0.5, SPECIAL, MASK, PAD), strong(ids, mask, numbers), strict=True
    ):
        assert torch.equal(found, expected)


def strong(ids, mask, draws, share=0.5):
    return strong_tokens(ids, mask, draws, share, SPECIAL, MASK, PAD)


def sentences(count, width, seed=0):
    """[CLS] words [SEP] padding, of differing lengths; the words are numbers from 10."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(3, width + 1, (count, 1), generator=generator)
    place = torch.arange(width)
    ids = torch.where(place < lengths - 1, torch.randint(10, 1000, (count, width), generator=generator), PAD)
    ids = torch.where(place == lengths - 1, SEP, ids)
    ids[:, 0] = CLS
    return ids, place < lengths


def test_strong_tokens_by_hand():
    ids = torch.tensor([[CLS, 10, 11, 12, 13, SEP, PAD, PAD]])
    mask = torch.tensor([[True] * 6 + [False] * 2])
    # share 0.6: below 0.2 masked, below 0.4 dropped, below 0.5 swapped with the next
    new, kept = strong(ids, mask, torch.tensor([[0.1, 0.1, 0.3, 0.45, 0.9, 0.45, 0.1, 0.3]]), 0.6)
    assert new.tolist() == [[CLS, MASK, PAD, 13, 12, SEP, PAD, PAD]]
    assert kept.tolist() == [[True, True, False, True, True, True, False, False]]


def test_swaps_do_not_overlap_or_reach_special_tokens():
    ids = torch.tensor([[CLS, 10, 11, 12, SEP]])
    mask = torch.ones(1, 5, dtype=torch.bool)
    draw = 0.45
    for draws, expected in (
        ([0.9, draw, draw, 0.9, 0.9], [11, 10, 12]),  # the second would undo the first
        ([draw, 0.9, 0.9, draw, draw], [10, 11, 12]),  # [CLS] and [SEP] stay where they are
        ([0.9, draw, 0.1, 0.9, 0.9], [10, MASK, 12]),  # the neighbour is masked
    ):
        assert strong(ids, mask, torch.tensor([draws]), 0.6)[0][0, 1:4].tolist() == expected


def test_a_post_never_loses_all_its_words():
    ids, mask = torch.tensor([[CLS, 10, 11, SEP]]), torch.ones(1, 4, dtype=torch.bool)
    new, kept = strong(ids, mask, torch.full((1, 4), 0.3), 0.6)
    assert torch.equal(new, ids) and torch.equal(kept, mask)
    new, kept = strong(ids, mask, torch.tensor([[0.9, 0.3, 0.9, 0.9]]), 0.6)
    assert kept.tolist() == [[True, False, True, True]]


@pytest.mark.parametrize("share", [0.0, 0.15, 0.6])
def test_share_of_disturbed_words_and_what_is_left_alone(share):
    ids, mask = sentences(2000, 24)
    new, kept = strong(ids, mask, torch.rand(ids.shape, generator=torch.Generator().manual_seed(1)), share)
    words = mask & ~torch.isin(ids, SPECIAL)
    assert torch.equal(new[~words], ids[~words]) and torch.equal(kept[~words], mask[~words])
    disturbed = ((new != ids) | (kept != mask))[words].float().mean()
    assert disturbed <= share + 0.01 and disturbed >= 0.8 * share
    assert (new[words] == MASK).float().mean() == pytest.approx(share / 3, abs=0.01)
    assert (~kept[words]).float().mean() == pytest.approx(share / 3, abs=0.01)


def test_paraphrase_stands_in_where_there_is_one():
    text = torch.tensor([[2, 10, 3]] * 3), torch.ones(3, 3, dtype=torch.bool)
    said = torch.tensor([[2, 20, 21, 22, 3], [2, 20, 21, 22, 3], [7] * 5])
    there = torch.tensor([[True] * 5, [True] * 5, [False] * 5])
    ids, mask = paraphrased(text, (said, there), torch.tensor([0.4, 0.6, 0.4]), pad_id=7)
    assert ids.tolist() == [[2, 20, 21, 22, 3], [2, 10, 3, 7, 7], [2, 10, 3, 7, 7]]
    assert mask.sum(1).tolist() == [5, 3, 3]


class Tokens:
    """What a ViewMaker asks of a token cache."""

    length, mask_id, pad_id, special_ids = 16, MASK, PAD, tuple(SPECIAL.tolist())


def post_batch(count=64, side=16):
    """Every fourth post lacks its image, every third its text, never both."""
    number = torch.arange(count)
    has_image, has_text = number % 4 != 1, (number % 3 != 0) | (number % 4 == 1)
    ids, mask = sentences(count, 12)
    return Batch(
        index=number,
        label=torch.zeros(count, dtype=torch.int64),
        has_image=has_image,
        has_text=has_text,
        image=torch.where(has_image[:, None, None, None], images(count, side), 0),
        text=torch.where(has_text[:, None], ids, PAD),
        text_mask=mask & has_text[:, None],
        teacher=torch.full((count, 3), 1 / 3),
    )


def view_maker(**options):
    return ViewMaker([0.5, 0.4, 0.3], [0.2, 0.3, 0.4], Tokens(), **options)


NAMES = ("clean", "weak", "strong", "strong_1")


def test_views_by_name():
    batch = post_batch()
    final = view_maker(strong_text=0.6)(dict.fromkeys(NAMES, batch), 1, 5, "unlabelled")
    there = batch.has_image
    clean = normalise(batch.image, torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.3, 0.4]))
    assert torch.equal(final["clean"].image[there], clean[there])
    assert torch.equal(final["clean"].text, batch.text) and torch.equal(final["weak"].text, batch.text)
    assert not torch.equal(final["weak"].image, final["clean"].image)
    assert not torch.equal(final["strong"].image, final["strong_1"].image)
    assert not torch.equal(final["strong"].text, final["strong_1"].text)
    for view in final.values():
        assert view.image.dtype == torch.float32 and not view.image[~there].any()
        assert not view.text[~batch.has_text].any() and not view.text_mask[~batch.has_text].any()
        assert view.text_mask[batch.has_text].any(1).all()
        assert view.index is batch.index and view.teacher is batch.teacher


def test_draws_depend_on_seed_stream_and_step_alone():
    batch, maker = post_batch(), view_maker()
    first = maker({"strong": batch}, 1, 5, "unlabelled")["strong"]
    again = view_maker()({"weak": batch, "strong": batch}, 1, 5, "unlabelled")["strong"]
    assert torch.equal(first.image, again.image) and torch.equal(first.text, again.text)
    for key in ((2, 5, "unlabelled"), (1, 6, "unlabelled"), (1, 5, "labelled")):
        assert not torch.equal(maker({"strong": batch}, *key)["strong"].image, first.image)


def test_ranks_get_their_part_of_the_global_draws():
    """Also where the texts of a rank are shorter than those of the whole batch."""
    batch, maker = post_batch(), view_maker(modality_dropout=0.4, strong_text=0.6)
    whole = maker(dict.fromkeys(NAMES, batch), 1, 5, "unlabelled", training=True)
    for start in (0, 32):
        part = slice(start, start + 32)
        mine = batch.rows(start, start + 32)
        width = int(mine.text_mask.sum(1).max())
        mine = replace(mine, text=mine.text[:, :width], text_mask=mine.text_mask[:, :width])
        for name, view in maker(dict.fromkeys(NAMES, mine), 1, 5, "unlabelled", part, 64, training=True).items():
            assert torch.allclose(view.image, whole[name].image[part], atol=1e-4)
            assert torch.equal(view.text, whole[name].text[part, :width])
            assert torch.equal(view.has_text, whole[name].has_text[part])


@pytest.mark.parametrize("name", ["clean", "weak", "strong"])
def test_modality_dropout_takes_one_of_two_in_training_alone(name):
    batch = post_batch(4000, 2)
    dropping = view_maker(modality_dropout=0.4)
    view, both = dropping({name: batch}, 1, 0, "labelled", training=True)[name], batch.has_image & batch.has_text
    assert torch.equal(view.has_image[~both], batch.has_image[~both])
    assert torch.equal(view.has_text[~both], batch.has_text[~both])
    assert (view.has_image | view.has_text).all()
    for has, values in ((view.has_image, view.image), (view.has_text, view.text)):
        assert (~has[both]).float().mean() == pytest.approx(0.2, abs=0.03)
        assert not values[~has].any()
    assert not view.text_mask[~view.has_text].any()
    whole, plain = (maker({name: batch}, 1, 0, "labelled")[name] for maker in (dropping, view_maker()))
    assert torch.equal(whole.has_image, batch.has_image) and torch.equal(whole.has_text, batch.has_text)
    assert torch.equal(whole.image, plain.image) and torch.equal(whole.text, plain.text)
    assert torch.equal(view.image[view.has_image], plain.image[view.has_image])  # as it is without dropout


def test_features_pass_as_they_are_but_for_dropout():
    features = {"image": torch.ones(64, 7), "text": torch.ones(64, 5), "text_mask": None}
    batch = replace(post_batch(), **features)
    plain = ViewMaker([0.5] * 3, [0.5] * 3)({"strong": batch}, 1, 0, "labelled")["strong"]
    assert torch.equal(plain.image.any(1), batch.has_image) and torch.equal(plain.text.any(1), batch.has_text)
    maker = ViewMaker([0.5] * 3, [0.5] * 3, modality_dropout=1.0)
    dropping = maker({"strong": batch}, 1, 0, "labelled", training=True)["strong"]
    assert (dropping.has_image ^ dropping.has_text).all()
    assert torch.equal(dropping.image.any(1), dropping.has_image) and dropping.image.max() == 1


def test_paraphrases_are_used_up_by_the_views():
    batch = post_batch()
    said = torch.full((64, 16), 77)
    batch = replace(batch, paraphrase=said, paraphrase_mask=batch.has_text[:, None].expand(64, 16))
    final = view_maker()({"weak": batch, "strong": batch}, 1, 0, "unlabelled")
    assert torch.equal(final["weak"].text, batch.text) and final["weak"].paraphrase is None
    used = (final["strong"].text == 77).all(1)
    assert 0.25 < used[batch.has_text].float().mean() < 0.75 and not used[~batch.has_text].any()


def test_autocast_does_not_reach_the_pixels():
    batch, maker = post_batch(), view_maker()
    plain = maker({"strong": batch}, 1, 0, "unlabelled")["strong"].image
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(maker({"strong": batch}, 1, 0, "unlabelled")["strong"].image, plain)


@pytest.mark.parametrize("option", ["strong_text", "modality_dropout"])
def test_shares_outside_zero_to_one_are_refused(option):
    with pytest.raises(ValueError, match=f"--{option} 1.5"):
        view_maker(**{option: 1.5})
