"""What a file may be before a library opens it: local, not too large, and of the format that its name says."""

from __future__ import annotations

from pathlib import Path

from d2oc.errors import MapFileError

__all__ = ["RASTER_ENDINGS", "VECTOR_ENDINGS", "checked_file"]

VECTOR_ENDINGS = (".shp", ".gpkg", ".geojson", ".json", ".kml")
RASTER_ENDINGS = (".tif", ".tiff")

LARGEST = {
    ".shp": 200_000_000,
    ".gpkg": 1_000_000_000,
    ".geojson": 50_000_000,
    ".json": 50_000_000,
    ".kml": 20_000_000,
    ".tif": 8_000_000_000,
    ".tiff": 8_000_000_000,
}
"""Text formats are read as a whole, and take about twenty times their size in memory. [byte]"""

STARTS = {
    ".shp": ((b"\x00\x00\x27\x0a",), "an ESRI Shapefile"),
    ".gpkg": ((b"SQLite format 3\x00",), "a GeoPackage"),
    ".geojson": ((b"{",), "GeoJSON"),
    ".json": ((b"{",), "GeoJSON"),
    ".kml": ((b"<",), "KML"),
    ".tif": ((b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"), "a TIFF image"),
    ".tiff": ((b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"), "a TIFF image"),
}
"""First bytes by ending, and what that is. Only what begins so is handed to a library: GDAL has formats that are lists
of addresses to fetch."""

HINTS = {
    ".zip": "unpack it first",
    ".kmz": "unpack it first (it is a zip file with a .kml inside)",
    ".dbf": "name the .shp file beside it",
    ".shx": "name the .shp file beside it",
    ".prj": "name the .shp file beside it",
    ".vrt": "make a GeoTIFF of it with gdal_translate",
    ".gml": "save it as GeoPackage",
    ".dxf": "save it as GeoPackage, with a coordinate system",
    ".png": 'a picture without a place is density.kind = "image"',
    ".jpg": "save it as GeoTIFF",
}


def checked_file(file: Path, endings: tuple[str, ...]) -> str:
    """Ending of a file that is what its ending says.

    Parameters
    ----------
    file : Path
    endings : tuple of str
        Those that are allowed here.

    Returns
    -------
    ending : str
        In lower case, with its dot.

    Raises
    ------
    MapFileError
        If it is not there, too large, or of another format.
    """
    ending = file.suffix.lower()
    if ending not in endings:
        hint = f"; {HINTS[ending]}" if ending in HINTS else ""
        raise MapFileError(f"{file}: ends in '{ending}', but expected is one of {', '.join(endings)}{hint}")
    try:
        if not file.is_file():
            raise MapFileError(f"{file}: {'is a folder, not a file' if file.is_dir() else 'is not there'}")
        size = file.stat().st_size
        with file.open("rb") as stream:
            start = stream.read(1024)
    except (OSError, ValueError) as error:
        raise MapFileError(f"{file}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if size > LARGEST[ending]:
        raise MapFileError(f"{file}: has {size:,} bytes, more than the {LARGEST[ending]:,} that are read")
    if not start.strip():
        raise MapFileError(f"{file}: is empty")
    begins, what = STARTS[ending]
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip() if ending in (".geojson", ".json", ".kml") else start
    if not text.startswith(begins):
        raise MapFileError(f"{file}: is not {what}, though its name ends in '{ending}'")
    if ending == ".shp":
        _require_companions(file)
    if ending == ".kml":
        _require_harmless_xml(file)
    return ending


def _require_companions(file: Path) -> None:
    there = {path.suffix.lower() for path in file.parent.glob(f"{_escaped(file.stem)}.*")}
    if ".shx" not in there:
        raise MapFileError(f"{file}: the file '{file.stem}.shx' that belongs to it is not there; copy all files of it")


def _escaped(stem: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in stem)


def _require_harmless_xml(file: Path) -> None:
    """Refuse entities, which may blow up or read other files; no KML needs them."""
    text = file.read_bytes()
    if b"\x00" in text:
        raise MapFileError(f"{file}: is not UTF-8 text, as KML should be")
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise MapFileError(f"{file}: declares entities (<!DOCTYPE or <!ENTITY), which KML does not need; remove them")
    if b"<kml" not in text[:4096] and b":kml" not in text[:4096]:
        raise MapFileError(f"{file}: is XML, but not KML: it has no <kml> element")
