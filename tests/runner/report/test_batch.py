"""How far a batch is."""

from runner.report.batch import Pace, progress_line


def test_the_speed_of_all_and_the_time_left() -> None:
    pace = Pace(10, 4, began=100.0)
    assert progress_line(pace) == "4 of 10 prompts"
    pace = pace.after(50, 102.0).after(30, 104.0)
    assert progress_line(pace) == "6 of 10 prompts · 20.0 tok/s · 8.0 s left"
    for _ in range(4):
        pace = pace.after(20, 110.0)
    assert progress_line(pace) == "10 of 10 prompts · 16.0 tok/s"
