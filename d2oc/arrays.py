"""Names for the kinds of arrays that travel through the program."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Counts = NDArray[np.uint8]
Flags = NDArray[np.bool_]
