"""Scripted boards: /proc and /sys trees as a Raspberry Pi, a Jetson or a PC shows them, with values to turn.

``pi4(root)``, ``pi5(root)``, ``jetson(root, jetpack=5)`` and ``x86(root)`` lay out a tree under a
folder and return a ``Board``. Give its ``root`` to the agent as ``--sysroot``, and turn its values
while something is being measured: every value is written under another name and renamed, so that a
reader never sees half of it. A value that the board has not is a ``KeyError``.
"""

from dataclasses import dataclass, field
from pathlib import Path

PI_BITS = {"under-voltage": 0x1, "arm frequency capped": 0x2, "throttled": 0x4, "soft temperature limit": 0x8}
_FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"
_POLICY = "sys/devices/system/cpu/cpufreq/policy0/"
_VCGENCMD = "usr/bin/vcgencmd.out/"
_ARM_CPU = "processor\t: %d\nCPU implementer\t: 0x41\nCPU part\t: %s\n\n"
_PMIC = """    3V3_SYS_A current(1)=0.06343280A
   VDD_CORE_A current(7)={core:.8f}A
    3V3_SYS_V volt(9)=3.31140000V
   VDD_CORE_V volt(15)=0.80000000V
      EXT5V_V volt(24)=5.16288000V
       BATT_V volt(25)=0.01440840V
"""
_NVPMODEL = """< POWER_MODEL ID=0 NAME=MAXN >
< POWER_MODEL ID=1 NAME=15W >
< POWER_MODEL ID=2 NAME=7W >
< PM_CONFIG DEFAULT=1 >
"""


@dataclass
class Board:
    """A scripted board; ``values`` says which files a value goes to, and how it is spelt there."""

    root: str
    values: dict = field(default_factory=dict)

    def write(self, path: str, text: str) -> None:
        """Write any file of the tree."""
        target = Path(self.root, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(target.name + ".draft")
        draft.write_text(text)
        draft.replace(target)

    def remove(self, path: str) -> None:
        """Take a file away."""
        Path(self.root, path).unlink()

    def throttle(self, bits: int) -> None:
        """Set the throttle state: a Pi's bits; elsewhere 0 for none, or a number of events or levels."""
        self._set("throttle", bits)

    def heat(self, celsius: float) -> None:
        """Set the processor's temperature."""
        self._set("heat", celsius)

    def clock(self, khz: int) -> None:
        """Set the hardware's clock."""
        self._set("clock", khz)

    def watts(self, watts: float) -> None:
        """Set the power; on x86, whose counter is of energy, see ``joules``."""
        self._set("watts", watts)

    def joules(self, joules: float) -> None:
        """Set the energy counter of an x86."""
        self._set("joules", joules)

    def pressure(self, microseconds: int) -> None:
        """Set the total of PSI's ``some`` for the CPU."""
        self._set("pressure", microseconds)

    def governor(self, name: str) -> None:
        """Set the frequency governor."""
        self._set("governor", name)

    def stolen(self, ticks: int) -> None:
        """Set the ticks that a hypervisor took."""
        self._set("stolen", ticks)

    def swapped(self, pages: int) -> None:
        """Set the pages written to swap so far."""
        self._set("swapped", pages)

    def _set(self, name, value) -> None:
        for path, spell in self.values[name].items():
            self.write(path, spell(value))


def pi4(root) -> Board:
    """A Raspberry Pi 4 as an ordinary user sees it: throttle bits in sysfs, clock by firmware; no PSI, no power."""
    board = _board(root, "Raspberry Pi 4 Model B Rev 1.4", _ARM_CPU, "0xd08", psi=False)
    board.values["throttle"] = {_FIRMWARE: lambda bits: f"{bits:x}\n"}
    return _pi(board, 1_500_398)


def pi5(root) -> Board:
    """A Raspberry Pi 5: throttle bits, clock and power all by the firmware."""
    board = _board(root, "Raspberry Pi 5 Model B Rev 1.0", _ARM_CPU, "0xd0b", psi=True)
    board.values["throttle"] = {_VCGENCMD + "get_throttled": lambda bits: f"throttled=0x{bits:x}\n"}
    # VDD_CORE at 0.8 V carries what 3V3_SYS does not
    board.values["watts"] = {
        _VCGENCMD + "pmic_read_adc": lambda watts: _PMIC.format(core=(watts - 0.0634328 * 3.3114) / 0.8)
    }
    board.watts(2.5)
    return _pi(board, 2_400_033)


def jetson(root, jetpack: int = 5) -> Board:
    """A Jetson Orin Nano (JetPack 5 or 6), or a Jetson Nano (4), which has NVIDIA's own INA3221 driver."""
    model = "NVIDIA Jetson Nano Developer Kit" if jetpack < 5 else "NVIDIA Jetson Orin Nano Developer Kit"
    board = _board(root, model, _ARM_CPU, "0xd07" if jetpack < 5 else "0xd42", psi=True)
    cooler = {4: "cpu-balanced", 5: "thermal-cpufreq-0", 6: "cpufreq-cpu0"}[jetpack]
    board.write("sys/class/thermal/cooling_device0/type", "pwm-fan\n")
    board.write("sys/class/thermal/cooling_device0/cur_state", "3\n")
    board.write("sys/class/thermal/cooling_device1/type", cooler + "\n")
    board.values["throttle"] = {"sys/class/thermal/cooling_device1/cur_state": lambda level: f"{level}\n"}
    board.write("sys/class/thermal/thermal_zone9/type", "PMIC-Die\n")
    board.write("sys/class/thermal/thermal_zone9/temp", "100000\n")
    board.write("etc/nvpmodel.conf", _NVPMODEL)
    board.write("var/lib/nvpmodel/status", "pmode:0002\n")
    if jetpack < 5:
        chip = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/"
        rails = {0: "POM_5V_IN", 1: "POM_5V_GPU", 2: "POM_5V_CPU"}
        for number, rail in rails.items():
            board.write(f"{chip}rail_name_{number}", rail + "\n")
            board.write(f"{chip}in_power{number}_input", "700\n")
        board.values["watts"] = {f"{chip}in_power0_input": lambda watts: f"{round(watts * 1000)}\n"}
    else:
        _orin(board)
    board.values["clock"] = {_POLICY + "cpuinfo_cur_freq": lambda khz: f"{khz}\n"}
    return _ready(board, 1_510_400, watts=4.0)


def x86(root) -> Board:
    """A PC: RAPL, thermal monitor counts, the average clock of Linux 6.14, two CPUs in one package."""
    board = _board(
        root, None, "processor\t: %d\nvendor_id\t: GenuineIntel\nmodel name\t: %s\n\n", "Some CPU @ 2.00GHz", psi=True
    )
    board.write("sys/class/dmi/id/sys_vendor", "ACME\n")
    board.write("sys/class/dmi/id/product_name", "Till 3000\n")
    board.write("sys/firmware/acpi/platform_profile", "balanced\n")
    board.write("sys/class/thermal/thermal_zone0/type", "x86_pkg_temp\n")
    board.write("sys/class/thermal/thermal_zone1/type", "iwlwifi_1\n")
    board.write("sys/class/thermal/thermal_zone1/temp", "91000\n")
    counts = {}
    for cpu in (0, 1):
        folder = f"sys/devices/system/cpu/cpu{cpu}/"
        board.write(folder + "topology/physical_package_id", "0\n")
        board.write(folder + "thermal_throttle/core_throttle_count", "0\n")
        counts[folder + "thermal_throttle/package_throttle_count"] = lambda events: f"{events}\n"
    board.values["throttle"] = counts
    zone = "sys/class/powercap/intel-rapl:0"
    for path, name in ((zone, "package-0"), (zone + ":0", "core"), ("sys/class/powercap/intel-rapl:1", "psys")):
        board.write(path + "/name", name + "\n")
        board.write(path + "/max_energy_range_uj", "262143328850\n")
        board.write(path + "/energy_uj", "77\n")
    board.values["joules"] = {zone + "/energy_uj": lambda joules: f"{round(joules * 1e6)}\n"}
    board.joules(1000.0)
    board.values["clock"] = {_POLICY + "cpuinfo_avg_freq": lambda khz: f"{khz}\n"}
    return _ready(board, 2_000_000)


def _board(root, model, cpu: str, part: str, *, psi: bool) -> Board:
    """What every Linux has."""
    board = Board(str(root))
    board.write("proc/sys/kernel/osrelease", "6.6.31-scripted\n")
    board.write("proc/sys/kernel/random/boot_id", "5a5e7c4c-0f2b-4b8e-9a55-0f2f3f4f5f6f\n")
    board.write("proc/cpuinfo", "".join(cpu % (number, part) for number in (0, 1)))
    board.write("proc/meminfo", "MemTotal:        3884452 kB\nSwapTotal:  102396 kB\nSwapFree:    92396 kB\n")
    if model:
        board.write("proc/device-tree/model", model + "\0")
    board.values = {
        "heat": {"sys/class/thermal/thermal_zone0/temp": lambda celsius: f"{round(celsius * 1000)}\n"},
        "governor": {f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor": "{}\n".format for cpu in (0, 1)},
        "stolen": {"proc/stat": "cpu  100 0 100 9000 10 0 5 {} 0 0\ncpu0 1 1\n".format},
        "swapped": {"proc/vmstat": "nr_free_pages 1\npswpin 0\npswpout {}\npgfault 3\n".format},
    }
    if psi:
        line = "some avg10=0.00 avg60=0.00 avg300=0.00 total={}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
        board.values["pressure"] = {"proc/pressure/cpu": line.format}
        board.pressure(1000)
    return board


def _pi(board: Board, khz: int) -> Board:
    board.write("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
    board.values["clock"] = {_VCGENCMD + "measure_clock_arm": lambda khz: f"frequency(0)={khz * 1000}\n"}
    return _ready(board, khz)


def _orin(board: Board) -> None:
    """The hwmon driver, and the counts of over-current events."""
    board.write("sys/class/hwmon/hwmon0/name", "ina3221\n")
    for channel, rail in enumerate(("VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"), 1):
        board.write(f"sys/class/hwmon/hwmon0/in{channel}_label", rail + "\n")
        board.write(f"sys/class/hwmon/hwmon0/in{channel}_input", "5000\n")
        board.write(f"sys/class/hwmon/hwmon0/curr{channel}_input", "100\n")
    board.write("sys/class/hwmon/hwmon0/in7_label", "sum of shunt voltages\n")
    board.values["watts"] = {"sys/class/hwmon/hwmon0/curr1_input": lambda watts: f"{round(watts * 200)}\n"}
    board.write("sys/class/hwmon/hwmon1/name", "soctherm_oc\n")
    board.write("sys/class/hwmon/hwmon1/oc1_event_cnt", "0\n")
    board.write("sys/class/hwmon/hwmon1/oc3_event_cnt", "27\n")


def _ready(board: Board, khz: int, watts=None) -> Board:
    """Cool, at full clock, at rest."""
    board.write(_POLICY + "affected_cpus", "0 1\n")
    board.write(_POLICY + "scaling_cur_freq", "9999999\n")
    board.throttle(0)
    board.heat(48.7)
    board.clock(khz)
    board.governor("performance")
    board.stolen(0)
    board.swapped(0)
    if watts is not None:
        board.watts(watts)
    return board
