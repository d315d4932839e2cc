import pytest
from pydantic import ValidationError

from app.settings import Settings
from service_tests.processes import ROOT


def test_every_setting_is_described_and_documented() -> None:
    page = (ROOT / "app/docs/settings.md").read_text()
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert f"INNERLOOP_{name.upper()}" in page, name


def test_every_setting_is_an_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INNERLOOP_PORT", "1234")
    assert Settings().port == 1234
    assert Settings.model_validate({"host": "0.0.0.0"}).port == 1234
    assert Settings.model_validate({"port": 99}).port == 99


def test_the_case_of_a_variable_does_not_matter_and_a_misspelt_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("innerloop_durability", "process")
    assert Settings().durability == "process"
    for misspelt in ("innerloop_durabilty", "INNERLOOP_DURABILTY", "Innerloop_Durabilty"):
        with monkeypatch.context() as environment:
            environment.setenv(misspelt, "process")
            with pytest.raises(
                ValidationError, match=rf"{misspelt}: unknown setting\. Did you mean INNERLOOP_DURABILITY\? "
            ):
                Settings()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"adaptation_ttl_s": 100, "max_ttl_s": 10}, "lower the first or raise the second"),
        ({"port": 70_000}, "less than or equal to 65535"),
        ({"device": "tpu"}, "'auto', 'cpu' or 'cuda'"),
        ({"max_body_bytes": 0}, "greater than or equal to 1024"),
    ],
)
def test_invalid_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Settings.model_validate(settings)
