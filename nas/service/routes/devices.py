"""Devices: enrolled here, probed by the controller."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Body, Response, status
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from nas.errors import RequestError
from nas.metric import DEVICE_NAME
from nas.request import DAILY_WINDOW
from nas.service.context import Db
from nas.service.problems import responses
from nas.store import Device, DeviceState, devices

router = APIRouter(prefix="/devices", tags=["devices"])

# No leading dash (it would be read as an option) and no control characters.
_WORD = r"[^\x00-\x1f\x7f-][^\x00-\x1f\x7f]*"
Word = Annotated[str, Field(pattern=f"^{_WORD}$", max_length=255)]
User = Annotated[str, Field(pattern=f"^{_WORD}$", max_length=100)]
MaybeWord = Annotated[str, Field(pattern=f"^({_WORD})?$", max_length=255)]


def _key_line(line: str) -> str:
    if not re.fullmatch(r"[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}", line):
        raise ValueError("host_key should be a line such as `ssh-ed25519 AAAAC3Nz…`")
    return line


HostKey = Annotated[str, Field(max_length=4096, examples=["ssh-ed25519 AAAAC3Nz…"])]


class _Enrolment(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=DEVICE_NAME, examples=["pi4"])]
    python: Word = Field("python3", description="Interpreter on the device, 3.8 or newer.")
    root: Word = Field(".nas-agent", description="Folder on the device for the agent and its files.")
    pool: str = Field(
        "", pattern=f"^$|{DEVICE_NAME}", description="Name that identical boards share.", examples=["pi4-pool"]
    )
    measure_between: str = Field(
        "",
        pattern=f"^$|{DAILY_WINDOW}",
        description="When it may measure, in its own time; empty is always.",
        examples=["22:00-05:00"],
    )

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        begin, _, end = self.measure_between.partition("-")
        if begin and begin == end:
            raise ValueError("measure_between begins when it ends; give two different times, such as 22:00-05:00")
        return self


class LocalEnrolment(_Enrolment):
    """This computer as a device."""

    transport: Literal["local"]


class JumpHost(BaseModel):
    """A machine on the way to a device, with a pinned host key of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, from_attributes=True)

    host: Word = Field(examples=["gate.example.org"])
    port: int = Field(22, ge=1, le=65535)
    user: User = Field(examples=["ops"])
    key: MaybeWord = Field("", description="Path of the private key on the controller; empty: the ssh-agent's.")
    host_key: Annotated[HostKey, AfterValidator(_key_line)]
    certificate: MaybeWord = Field("", description="Path of the OpenSSH certificate that goes with the key.")


class SshEnrolment(_Enrolment):
    """A device over SSH. The private key stays where it is: only its path is given."""

    transport: Literal["ssh"]
    host: Word = Field(examples=["192.168.1.40"])
    port: int = Field(22, ge=1, le=65535)
    user: User = Field(examples=["pi"])
    key: MaybeWord = Field(
        "",
        description="Path of the private key on the controller; empty: the ssh-agent's.",
        examples=["~/.ssh/id_ed25519"],
    )
    certificate: MaybeWord = Field("", description="Path of the OpenSSH certificate that goes with the key.")
    use_agent: bool = Field(False, description="Whether the controller's ssh-agent may be used.")
    host_key: HostKey = Field("", description="The pinned host key.")
    jump: list[JumpHost] = Field([], max_length=8, description="The machines on the way, first to last.")

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        if not self.host_key:
            raise ValueError(
                f"host_key is missing, and nothing is sent to a device that may be another one; run `nas devices add "
                f"{self.name} --host {self.host} --user {self.user}`, which shows the device's key and pins it"
            )
        _key_line(self.host_key)
        if not self.use_agent and not all([self.key, *(hop.key for hop in self.jump)]):
            raise ValueError("key: it is missing; name a private key, here and for each jump, or set use_agent")
        return self


Enrolment = Annotated[LocalEnrolment | SshEnrolment, Field(discriminator="transport")]


class DeviceView(BaseModel):
    """One enrolled device; what its transport does not need is empty."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(examples=["pi4"])
    transport: Literal["local", "ssh"]
    host: str
    port: int
    user: str
    key: str = Field(description="Path of the private key on the controller.")
    host_key: str
    certificate: str
    use_agent: bool
    jump: list[JumpHost]
    python: str
    root: str
    pool: str
    measure_between: str
    state: DeviceState
    facts: dict[str, Any] | None = Field(description="What the last probe told: board, kernel, runtimes.")
    faults: int = Field(description="How often in a row it broke.")
    reason: str | None = Field(description="Why it is offline or quarantined.")
    created_at: datetime
    seen_at: datetime | None = Field(description="When it last answered.")

    @classmethod
    def of(cls, device: Device) -> "DeviceView":
        """Show one row."""
        return cls.model_validate(device)


@router.post("", status_code=status.HTTP_201_CREATED, responses=responses(400, 409, 422))
def enrol_device(db: Db, request: Annotated[Enrolment, Body()], response: Response) -> DeviceView:
    """Enrol a device. Nothing is sent to it: it is offline until the controller has probed it."""
    device = devices.create(db, **request.model_dump())
    response.headers["Location"] = f"/api/v1/devices/{device.name}"
    return DeviceView.of(device)


@router.get("")
def list_devices(db: Db) -> list[DeviceView]:
    """All devices by name."""
    return [DeviceView.of(device) for device in devices.enrolled(db)]


@router.put("/{name}", responses=responses(400, 404, 409, 422))
def replace_device(db: Db, name: str, request: Annotated[Enrolment, Body()]) -> DeviceView:
    """Enrol a device anew under its name, such as a Pi that was set up again: searches that use it can go on."""
    if request.name != name:
        raise RequestError(f"The body names the device {request.name}, the address {name}; give the same name in both.")
    return DeviceView.of(devices.replace(db, **request.model_dump()))


@router.get("/{name}", responses=responses(404, 422))
def show_device(db: Db, name: str) -> DeviceView:
    """One device."""
    return DeviceView.of(devices.get(db, name))


@router.post("/{name}/drain", responses=responses(404, 409, 422))
def drain_device(db: Db, name: str) -> DeviceView:
    """Give a device no more work; what runs on it ends, and searches that need it wait."""
    return DeviceView.of(devices.drain(db, name))


@router.post("/{name}/undrain", responses=responses(404, 409, 422))
def undrain_device(db: Db, name: str) -> DeviceView:
    """Give a drained device work again, as soon as it has answered."""
    return DeviceView.of(devices.undrain(db, name))


@router.delete("/{name}", status_code=status.HTTP_204_NO_CONTENT, responses=responses(404, 409, 422))
def remove_device(db: Db, name: str) -> None:
    """Forget a device that no unfinished work needs; what it measured stays."""
    devices.remove(db, name)
