"""Twilio's signatures: theirs are recognised, and nobody else's."""

from hypothesis import given
from hypothesis import strategies as st

from activities.channels.signature import is_valid, sign

# The worked example of Twilio's documentation.
TOKEN = "12345"
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FORM = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+12349013030",
    "Digits": "1234",
    "From": "+12349013030",
    "To": "+18005551212",
}
SIGNATURE = "0/KCTR6DLpKmkAf8muzZqo1nDgQ="
FORMS = st.dictionaries(st.text(min_size=1), st.text())


def test_the_example_of_the_documentation_is_reproduced() -> None:
    assert sign(TOKEN, URL, FORM) == SIGNATURE
    assert is_valid(TOKEN, SIGNATURE, URL, FORM)


def test_the_order_of_the_fields_does_not_matter() -> None:
    assert sign(TOKEN, URL, list(reversed(FORM.items()))) == SIGNATURE


def test_another_token_address_or_field_is_not_accepted() -> None:
    assert not is_valid("54321", SIGNATURE, URL, FORM)
    assert not is_valid(TOKEN, SIGNATURE, URL + "&baz=3", FORM)
    assert not is_valid(TOKEN, SIGNATURE, URL, FORM | {"Digits": "4321"})


def test_the_usual_port_may_be_written_or_left_out() -> None:
    without, with_port = "https://shop.example/callbacks", "https://shop.example:443/callbacks"
    assert is_valid(TOKEN, sign(TOKEN, with_port, FORM), without, FORM)
    assert is_valid(TOKEN, sign(TOKEN, without, FORM), with_port, FORM)
    assert not is_valid(TOKEN, sign(TOKEN, "https://shop.example:8443/callbacks", FORM), without, FORM)


@given(st.text(), FORMS)
def test_garbage_is_refused_and_never_an_exception(garbage: str, form: dict[str, str]) -> None:
    assert not is_valid(TOKEN, garbage, URL, form)


@given(FORMS)
def test_what_we_sign_we_accept(form: dict[str, str]) -> None:
    assert is_valid(TOKEN, sign(TOKEN, URL, form), URL, form)
