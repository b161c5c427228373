"""A network namespace of one's own, for programs that listen on every interface of the machine they run on.

Sockets that were opened before stay in the old namespace, so a process can stand with one foot in each and pass on what
it means to.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct

CLONE_NEWNET = 0x40000000
GET_FLAGS, SET_FLAGS = 0x8913, 0x8914
"""ioctl SIOCGIFFLAGS and SIOCSIFFLAGS."""
UP = 0x1
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def enter_private_network() -> bool:
    """Put this thread, and whom it starts from now on, into a network of its own with nothing but a loopback interface.

    Returns
    -------
    done : bool
        False where this is not allowed (it takes CAP_SYS_ADMIN) or is no Linux.
    """
    if not hasattr(_libc, "unshare") or _libc.unshare(CLONE_NEWNET) != 0:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        _, flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, GET_FLAGS, request))
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh14x", b"lo", flags | UP))
    return True


def die_with_parent() -> None:
    """For the child of a fork: end when the parent ends, however that ends."""
    if hasattr(_libc, "prctl"):
        _libc.prctl(PR_SET_PDEATHSIG, 9)
        if os.getppid() == 1:  # it was too late
            os._exit(1)
