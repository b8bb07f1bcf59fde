from fdnn.evaluation.published import TABLE_1, TABLE_3, TABLE_4
from fdnn.models import Mixed


def test_tables_agree_where_they_overlap() -> None:
    for name, score in TABLE_4["FDNN"].items():
        assert score == TABLE_3["FDNN"][name][3]


def test_every_row_of_table_4_can_be_made() -> None:
    titles = {Mixed(3, convolutions=i).title for i in (10, *range(2, 9))}
    assert titles == set(TABLE_4) - {"FDNN"}
    assert all(set(row) == {"Set5", "Set14", "B100"} for row in TABLE_4.values())


def test_table_1_prefers_the_divergence_everywhere() -> None:
    """As Sec. 3.3 says of it."""
    without, with_kl = TABLE_1["VDSR10 MSE"], TABLE_1["VDSR10 MSE-KL"]
    for name, row in without.items():
        assert set(row) == {2, 3, 4}
        assert all(with_kl[name][scale] > psnr for scale, psnr in row.items())
