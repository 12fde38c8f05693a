"""The order of posts: a pure function of (seed, stream, step)."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from datasets.order import Order

ROWS = np.array([3, 5, 8, 13, 21, 34, 55])


def test_every_post_is_read_once_before_any_is_read_again():
    order = Order(ROWS, 3, seed=1, stream="unlabelled")
    read = np.concatenate([order.global_rows(step) for step in range(14)])  # 42 posts: six times all seven
    for epoch in read.reshape(6, 7):
        assert sorted(epoch) == ROWS.tolist()
    assert len({tuple(epoch) for epoch in read.reshape(6, 7)}) > 1  # not the same permutation again and again


def test_a_step_does_not_depend_on_the_steps_read_before():
    forwards = Order(ROWS, 4, 7, "labelled")
    expected = [forwards.global_rows(step).tolist() for step in range(30)]
    backwards = Order(ROWS, 4, 7, "labelled")
    assert [backwards.global_rows(step).tolist() for step in reversed(range(30))] == expected[::-1]
    assert Order(ROWS, 4, 7, "labelled").global_rows(29).tolist() == expected[29]
    assert pickle.loads(pickle.dumps(forwards)).global_rows(17).tolist() == expected[17]


def test_seed_and_stream_change_the_order():
    orders = [Order(np.arange(100), 50, seed, stream).global_rows(0).tolist() for seed in (1, 2) for stream in "ab"]
    assert len({tuple(order) for order in orders}) == 4


def test_a_batch_larger_than_the_set_goes_round_it():
    batch = Order(ROWS, 18, 1, "labelled").global_rows(0)
    assert (np.unique(batch, return_counts=True)[1] >= 2).all() and len(batch) == 18


@pytest.mark.parametrize("world", [1, 2, 4])
def test_ranks_share_the_one_global_batch(world):
    whole = Order(ROWS, 8, 1, "labelled")
    ranks = [Order(ROWS, 8, 1, "labelled", rank, world) for rank in range(world)]
    for step in range(5):
        assert np.concatenate([rank.rows(step) for rank in ranks]).tolist() == whole.global_rows(step).tolist()
    assert ranks[-1].part == slice(8 - 8 // world, 8)


def test_users_mistakes_are_named():
    with pytest.raises(ValueError, match="no post to draw the labelled batches from"):
        Order(np.array([], dtype=np.int64), 4, 1, "labelled")
    with pytest.raises(ValueError, match=r"--batch_size: 5 .* 2 processes"):
        Order(ROWS, 5, 1, "labelled", 0, 2)


def test_posts_of_like_length_share_a_batch_and_batches_come_in_random_order():
    rows = np.arange(1000, 1064)
    lengths = np.random.default_rng(0).permutation(64)
    order = Order(rows, 8, 3, "labelled", lengths=lengths, window=4)
    batches = np.stack([order.global_rows(step) for step in range(8)])
    assert sorted(batches.ravel()) == rows.tolist()
    of = lengths[batches - 1000]
    assert np.ptp(of, axis=1).mean() < 20 < np.ptp(lengths[:8])  # 64 / 4 in windows of four batches
    assert (np.diff(of, axis=1) > 0).all()
    firsts = of[:, 0].tolist()
    assert firsts != sorted(firsts)
    again = Order(rows, 8, 3, "labelled", lengths=lengths, window=4)
    assert again.global_rows(13).tolist() == order.global_rows(13).tolist()
    assert order.global_rows(13).tolist() != order.global_rows(5).tolist()  # the next epoch is another one
