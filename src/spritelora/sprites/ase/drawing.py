"""The frames of an Aseprite document as they are seen: cels unpacked, coloured, and laid over one another."""

from collections import defaultdict
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spritelora import limits
from spritelora.sprites.ase.binary import AseError, Pixels, damaged, unpack, unsupported
from spritelora.sprites.ase.blending import blend
from spritelora.sprites.ase.document import Cel, Document, Layer, Mode, Palette, Tileset

TOP = -1
"""The parent of layers that lie in no group."""


class Drawer:
    """Draws frames of a document; the pixels of all that it draws together are within a limit."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._drawn_pixels, self._blended_pixels = 0, 0
        self._tiles: dict[int, Pixels] = {}

    def draw(self, frame: int) -> Pixels:
        """A frame as RGBA in square pixels, (H, W, 4). Raises AseError for what is damaged or cannot be drawn."""
        self._check_work(frame)
        try:
            canvas = self._draw_group(TOP, frame)
        except ValueError as error:
            raise error if isinstance(error, AseError) else damaged(str(error)) from error
        across, down = self._document.pixel
        return canvas.repeat(down, axis=0).repeat(across, axis=1)

    def _check_work(self, frame: int) -> None:
        """Count the pixels of a frame's layers and groups. Raises AseError where all drawn so far are too many."""
        document, canvas = self._document, self._document.size[0] * self._document.size[1]
        areas = {index: self._cel_area(frame, index) for index in document.drawn_layers(frame)}
        if document.has_groups:
            areas |= {i: canvas for i, layer in enumerate(document.layers) if layer.is_group and layer.is_visible}
        self._drawn_pixels += sum(areas.values())
        self._blended_pixels += sum(n for i, n in areas.items() if document.layers[i].mode is not Mode.normal)
        try:
            limits.ASE_DRAWN_PIXELS.check(self._drawn_pixels)
            limits.ASE_BLENDED_PIXELS.check(self._blended_pixels)
        except ValueError as error:
            raise AseError(str(error)) from error

    def _cel_area(self, frame: int, index: int) -> int:
        cel, layer = self._picture(frame, index), self._document.layers[index]
        tileset = self._document.tilesets.get(layer.tileset)
        tile = tileset.size if cel.tiling and tileset else (1, 1)
        return cel.size[0] * tile[0] * cel.size[1] * tile[1]

    def _picture(self, frame: int, index: int) -> Cel:
        """The cel that has the pixels of a layer in a frame."""
        cel = self._document.frames[frame].cels[index]
        return self._document.frames[cel.linked_frame].cels[index] if cel.linked_frame >= 0 else cel

    @cached_property
    def _children(self) -> dict[int, list[int]]:
        """The layers of each group; of the whole file where groups are not drawn by themselves."""
        children: dict[int, list[int]] = defaultdict(list)
        for index, layer in enumerate(self._document.layers):
            if layer.is_visible and not layer.is_reference and (self._document.has_groups or not layer.is_group):
                children[layer.parent if self._document.has_groups else TOP].append(index)
        return children

    def _draw_group(self, group: int, frame: int) -> Pixels:
        """A group's layers by their order and z-index, over nothing."""
        width, height = self._document.size
        canvas = np.zeros((height, width, 4), dtype=np.uint8)
        cels = self._document.frames[frame].cels

        def order(index: int) -> tuple[int, int]:
            z_index = cels[index].z_index if index in cels else 0
            return index + z_index, z_index

        for index in sorted(self._children[group], key=order):
            layer = self._document.layers[index]
            if layer.is_group:
                blend(canvas, self._draw_group(index, frame), layer.opacity * 255, layer.mode)
            elif index in cels:
                self._draw_cel(canvas, layer, cels[index], self._picture(frame, index), frame)
        return canvas

    def _draw_cel(self, canvas: Pixels, layer: Layer, cel: Cel, picture: Cel, frame: int) -> None:
        pixels = self._tilemap(layer, picture) if picture.tiling else self._unpacked(picture, layer.name)
        (x, y), (height, width) = cel.corner, canvas.shape[:2]
        top, left = max(0, -y), max(0, -x)
        part = pixels[top : max(top, height - y), left : max(left, width - x)]
        if part.size:
            below = canvas[y + top : y + top + part.shape[0], x + left : x + left + part.shape[1]]
            blend(below, self._coloured(part, layer, frame), layer.opacity * cel.opacity, layer.mode)

    def _unpacked(self, cel: Cel, name: str) -> Pixels:
        """A cel's pixels as the file has them, (H, W, bytes)."""
        (width, height), depth = cel.size, self._document.bytes_per_pixel
        size, where = width * height * depth, f"layer '{name}'"
        if not cel.is_packed:
            if len(cel.content) < size:
                raise damaged(f"{where} has {len(cel.content):,} bytes of {size:,}")
            return np.frombuffer(cel.content, dtype=np.uint8, count=size).reshape(height, width, depth)
        return unpack(cel.content, size, where).reshape(height, width, depth)

    def _coloured(self, pixels: Pixels, layer: Layer, frame: int) -> Pixels:
        """Pixels as the file has them, (H, W, bytes), as RGBA."""
        if pixels.shape[2] == 4:
            return pixels
        if pixels.shape[2] == 2:
            return np.ascontiguousarray(pixels[..., [0, 0, 0, 1]])
        palette = self._document.frames[frame].palette
        if palette is None:
            raise damaged("its pixels have colours of a palette, and it has none")
        return _from_palette(palette, pixels[..., 0], -1 if layer.is_background else self._document.transparent)

    def _tilemap(self, layer: Layer, cel: Cel) -> Pixels:
        """A tilemap's pixels as the file has them, (H, W, bytes)."""
        tileset, tiling = self._document.tilesets.get(layer.tileset), cel.tiling
        if tileset is None or tiling is None:
            raise damaged(f"layer '{layer.name}' has tiles of tileset {layer.tileset}, which is not there")
        width, height = cel.size
        size = width * height * tiling.bits // 8
        found = unpack(cel.content, size, f"layer '{layer.name}'").view(f"<u{tiling.bits // 8}")
        values = found.astype(np.uint32).reshape(height, width)
        numbers = (values & tiling.number) >> _shift(tiling.number)
        is_empty = numbers == 0 if tileset.has_empty_first else values == (1 << tiling.bits) - 1
        tiles = self._tiles_of(layer, tileset)
        if (numbers[~is_empty] >= len(tiles)).any():
            raise damaged(f"layer '{layer.name}' has a tile {int(numbers[~is_empty].max())} of {len(tiles)}")
        if not len(tiles):
            return np.zeros((0, 0, self._document.bytes_per_pixel), dtype=np.uint8)
        laid = tiles[np.where(is_empty, 0, numbers)]
        laid[is_empty] = self._empty_pixel
        diagonal, x, y = ((values & mask) != 0 for mask in (tiling.flip_diagonal, tiling.flip_x, tiling.flip_y))
        _flip(laid, diagonal, x, y, layer.name)
        return laid.swapaxes(1, 2).reshape(height * laid.shape[2], width * laid.shape[3], -1)

    @property
    def _empty_pixel(self) -> int:
        return self._document.transparent if self._document.bytes_per_pixel == 1 else 0

    def _tiles_of(self, layer: Layer, tileset: Tileset) -> Pixels:
        """The tiles of a tileset, (N, H, W, bytes)."""
        if layer.tileset not in self._tiles:
            if tileset.content is None:
                raise unsupported(f"layer '{layer.name}', whose tiles are in another file,")
            (width, height), depth = tileset.size, self._document.bytes_per_pixel
            content = unpack(tileset.content, tileset.count * width * height * depth, f"tileset '{tileset.name}'")
            self._tiles[layer.tileset] = content.reshape(tileset.count, height, width, depth)
        return self._tiles[layer.tileset]


def _from_palette(palette: Palette, indexes: Pixels, transparent: int) -> Pixels:
    present = np.unique(indexes)
    if (wrong := present[(present >= len(palette)) & (present != transparent)]).size:
        raise damaged(f"a pixel has colour {int(wrong[0])} of a palette of {len(palette)}")
    table = np.zeros((256, 4), dtype=np.uint8)
    table[: len(palette)] = palette
    if transparent >= 0:
        table[transparent] = 0
    return table[indexes]


def _flip(tiles: Pixels, diagonal: NDArray[np.bool_], x: NDArray[np.bool_], y: NDArray[np.bool_], name: str) -> None:
    """Turn laid tiles, (rows, columns, H, W, bytes), in place: their axes are swapped first, then each is mirrored."""
    if diagonal.any():
        if tiles.shape[2] != tiles.shape[3]:
            raise unsupported(f"layer '{name}', with tiles that are turned and not square,")
        tiles[diagonal] = tiles[diagonal].swapaxes(1, 2)
    tiles[x] = tiles[x][:, :, ::-1]
    tiles[y] = tiles[y][:, ::-1]


def _shift(mask: int) -> int:
    """The bits below a mask."""
    return (mask & -mask).bit_length() - 1 if mask else 0
