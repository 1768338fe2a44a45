"""Looking at processes of this machine through /proc."""

import os
from pathlib import Path

PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


def family(pid: int) -> list[int]:
    """The process and all below it; alone where there is no /proc."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue  # it ended while we looked
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for member in found:
        found += children.get(member, [])
    return found


def title(pid: int) -> str:
    """Its command line, which Ray's workers set to what they are; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def memory_kib(pid: int) -> int:
    """Resident memory without what is shared through the object store."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    kib = {name: rest.split()[0] for name, _, rest in (line.partition(":") for line in lines) if rest.endswith("kB")}
    return int(kib.get("VmRSS", 0)) - int(kib.get("RssShmem", 0))


def own_kib(pid: int) -> int:
    """Resident memory that it shares with nobody, so that those of several processes can be added up."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return (int(resident) - int(shared)) * PAGE_KIB
