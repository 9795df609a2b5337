from mmseg_kd.engine.checks.problems import Problems


def test_findings_are_collected_in_order():
    first, second = Problems(), Problems()
    first.warn('a: may be a mistake')
    second.refuse('b: ruins the run')
    second.warn('c: may be a mistake')
    first.add(second)
    assert first.refusals == ['b: ruins the run'] and first.warnings == ['a: may be a mistake', 'c: may be a mistake']
    assert second.warnings == ['c: may be a mistake']
