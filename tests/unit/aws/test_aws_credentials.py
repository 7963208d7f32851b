"""Credentials of the environment, and those that botocore's chain finds."""

import asyncio
import datetime as dt
import sys
from pathlib import Path

import pytest
from botocore.credentials import ReadOnlyCredentials, RefreshableCredentials
from botocore.session import Session

from gatesocket.aws.credentials import Chain, configured_region, of_environment, provider
from gatesocket.aws.sigv4 import Credentials
from gatesocket.exceptions import ConfigurationError
from support.aws_environment import forget_aws


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that holds nothing of AWS."""
    forget_aws(monkeypatch)
    return monkeypatch


@pytest.fixture
def profile(aws: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The profile of a developer, in files."""
    (tmp_path / "credentials").write_text("[dev]\naws_access_key_id = AKIADEV\naws_secret_access_key = secret\n")
    (tmp_path / "config").write_text("[profile dev]\nregion = eu-north-1\n")
    aws.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    aws.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    aws.setenv("AWS_PROFILE", "dev")


# The environment.


def test_lambdas_environment_holds_all_that_is_needed() -> None:
    environment = {"AWS_ACCESS_KEY_ID": "ASIA", "AWS_SECRET_ACCESS_KEY": "s+/=", "AWS_SESSION_TOKEN": "t+/="}
    assert of_environment(environment) == Credentials("ASIA", "s+/=", "t+/=")


def test_a_users_credentials_have_no_token() -> None:
    environment = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": ""}
    assert of_environment(environment) == Credentials("AKIA", "secret", None)


def test_an_environment_may_hold_none() -> None:
    assert of_environment({"AWS_PROFILE": "dev", "AWS_ACCESS_KEY_ID": ""}) is None


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_one_without_the_other_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is set"):
        of_environment({name: "x"})


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
@pytest.mark.parametrize("value", ["topsecret\n", "top secret", "tøpsecret"])
def test_what_was_pasted_wrongly_is_refused_without_being_shown(name: str, value: str) -> None:
    environment = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s", name: value}
    with pytest.raises(ConfigurationError, match=f"{name} holds a space, a line break") as caught:
        of_environment(environment)
    assert "secret" not in str(caught.value).lower().replace(name.lower(), "")


async def test_the_environment_is_enough(aws: pytest.MonkeyPatch) -> None:
    aws.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    aws.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    given = provider()
    assert await given.get() == Credentials("AKIA", "secret")
    assert given.reject(await given.get()) is False, "there are no others"


# The chain.


async def test_a_profile_is_found_where_the_environment_holds_none(profile: None) -> None:
    assert await provider().get() == Credentials("AKIADEV", "secret")


async def test_what_stays_valid_is_looked_for_once(profile: None, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain()
    first = await chain.get()
    monkeypatch.setattr(Session, "get_credentials", None)  # not called again
    assert await chain.get() is first


class Role:
    """A role whose credentials expire; each renewal gives others."""

    def __init__(self) -> None:
        self.now = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
        self.renewals = 0

    def renew(self) -> dict[str, str]:
        self.renewals += 1
        expiry = (self.now + dt.timedelta(hours=1)).isoformat()
        return {"access_key": f"ASIA{self.renewals}", "secret_key": "s", "token": "t", "expiry_time": expiry}


@pytest.fixture
def role(aws: pytest.MonkeyPatch) -> Role:
    role = Role()
    resolved = RefreshableCredentials(
        "ASIA0", "s", "t", role.now + dt.timedelta(hours=1), role.renew, "test", time_fetcher=lambda: role.now
    )
    aws.setattr(Session, "get_credentials", lambda self: resolved)
    return role


async def test_a_roles_credentials_are_renewed_before_they_expire(role: Role) -> None:
    chain = Chain()
    assert (await chain.get()).access_key == "ASIA0"
    role.now += dt.timedelta(minutes=44)
    assert (await chain.get()).access_key == "ASIA0"
    role.now += dt.timedelta(minutes=2)
    assert (await chain.get()).access_key == "ASIA1"
    assert (await chain.get()).access_key == "ASIA1"


async def test_concurrent_calls_renew_once(role: Role) -> None:
    chain = Chain()
    await chain.get()
    role.now += dt.timedelta(minutes=55)
    keys = [credentials.access_key for credentials in await asyncio.gather(*(chain.get() for _ in range(8)))]
    assert role.renewals == 1
    assert set(keys) == {"ASIA1"}


@pytest.fixture
def renewed(aws: pytest.MonkeyPatch) -> None:
    """Credentials of which others are found when they are looked for again, such as by a login in another shell."""
    found = iter([ReadOnlyCredentials("OLD", "s", None), ReadOnlyCredentials("NEW", "s", None)])

    class Resolved:
        def get_frozen_credentials(self) -> ReadOnlyCredentials:
            return next(found)

    aws.setattr(Session, "get_credentials", lambda self: Resolved())


@pytest.mark.usefixtures("renewed")
async def test_what_aws_took_for_expired_is_looked_for_anew() -> None:
    chain = Chain()
    old = await chain.get()
    assert old.access_key == "OLD"
    assert chain.reject(old) is True
    assert (await chain.get()).access_key == "NEW"


@pytest.mark.usefixtures("renewed")
async def test_what_was_replaced_already_is_not_looked_for_again() -> None:
    """As when a broadcast's posts are refused one after the other, all signed with what has expired."""
    chain = Chain()
    old = await chain.get()
    keys = []
    for _ in range(3):
        assert chain.reject(old) is True
        keys.append((await chain.get()).access_key)
    assert keys == ["NEW"] * 3


async def test_no_credentials_anywhere(aws: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="there are no AWS credentials. Lambda provides.*AWS_PROFILE"):
        await provider().get()


async def test_what_the_chain_stumbles_over_is_named(aws: pytest.MonkeyPatch) -> None:
    aws.setenv("AWS_PROFILE", "not-there")
    with pytest.raises(ConfigurationError, match="no AWS credentials can be had: .*not-there.*AWS_PROFILE"):
        await provider().get()


async def test_without_botocore_there_is_no_chain(aws: pytest.MonkeyPatch) -> None:
    aws.setitem(sys.modules, "botocore.exceptions", None)
    with pytest.raises(
        ConfigurationError, match=r"names no AWS credentials, and botocore.*pip install 'gatesocket\[aws\]'"
    ):
        await provider().get()


async def test_a_profile_says_the_region(profile: None) -> None:
    assert await configured_region() == "eu-north-1"


async def test_no_region_anywhere(aws: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ConfigurationError, match="there is no AWS region. Lambda provides one; elsewhere set AWS_REGION"
    ):
        await configured_region()
