import numpy as np

from aframe.candidates.table import CandidateTable
from aframe.events.significance import Background
from aframe.report.candidates import candidate_columns


def test_classes_stand_beside_p_astro_where_a_table_has_them() -> None:
    columns = {"detection_time": np.array([1.2e9]), "detection_statistic": np.array([9.0])}
    columns |= {"far_per_year": np.array([0.1]), "significance": np.array([0.1]), "p_astro": np.array([0.9])}
    background = Background(np.arange(5.0), 1e8)
    older = CandidateTable(columns, attributes={"Tb": 1e8, "T0": 1e5})
    assert "NSBH" not in [heading for heading, _ in candidate_columns(older, background)]
    parts = {"p_bns": np.array([0.2]), "p_nsbh": np.array([0.6]), "p_bbh": np.array([0.1])}
    table = CandidateTable(columns | parts, attributes=older.attributes)
    cells = {heading: cell(0).text for heading, cell in candidate_columns(table, background)}
    assert [cells[name] for name in ("p_astro", "BNS", "NSBH", "BBH")] == ["0.9", "0.2", "0.6", "0.1"]
