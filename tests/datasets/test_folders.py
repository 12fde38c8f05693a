"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import signal

import pytest

from datasets.folders import new_file, new_result


def test_a_file_takes_its_name_when_it_is_whole(tmp_path):
    file = tmp_path / "folder" / "table.csv"
    with new_file(file) as partial:
        partial.write_text("first")
        assert not file.exists()
    with pytest.raises(ValueError, match="broken"), new_file(file) as partial:
        partial.write_text("half of the sec")
        raise ValueError("broken")
    assert file.read_text() == "first"
    assert list(file.parent.iterdir()) == [file]


def test_what_the_disk_refuses_is_one_sentence_and_leaves_nothing(tmp_path):
    (tmp_path / "taken.csv").mkdir()
    refused = pytest.raises(ValueError, match=r"taken\.csv cannot be written: .*; name another$")
    with refused, new_result(tmp_path / "taken.csv", "; name another") as partial:
        partial.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["taken.csv"]
    with new_result(tmp_path / "new" / "table.csv") as partial:
        partial.write_text("whole")
    assert (tmp_path / "new" / "table.csv").read_text() == "whole"


def test_what_a_killed_process_left_is_written_over(tmp_path):
    file = tmp_path / "photo.jpg"
    child = os.fork()
    if not child:
        with new_file(file) as partial:
            partial.write_text("a long half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert not file.exists()
    with new_file(file) as partial:
        partial.write_text("whole")
    assert file.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [file]
