"""Stored values come back as they were written, whatever packs them, and decoding is contained.

Compressed files are packed here by pydicom (RLE) and imagecodecs, or come from real scanners.
"""

import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zipfile

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import RLELossless

from aegle.dicom import decoding, images
from aegle.dicom.decoding import Decoder, FrameFacts, Refused
from aegle.dicom.image_options import ImageOptions
from aegle.dicom.scan import ScanOptions, scan
from aegle.domain.errors import FileError

JPEG = "1.2.840.10008.1.2.4."
BIG = "1.2.840.10008.1.2.2"
SECONDARY = "1.2.840.10008.5.1.4.1.1.7"
NOISE = np.random.default_rng(5)
CT = NOISE.integers(-1000, 3000, (24, 30)).astype(np.int16)
GREY = NOISE.integers(0, 256, (24, 30)).astype(np.uint8)
RGB = NOISE.integers(0, 256, (24, 30, 3)).astype(np.uint8)


@pytest.fixture
def written(tmp_path, make_slice):
    def write(pixels, *, frames=None, syntax=None, **changes):
        item = make_slice(pixels=pixels, **changes)
        if frames is not None:
            item.PixelData = encapsulate(frames)
            item["PixelData"].is_undefined_length = True
            item["PixelData"].VR = "OB"
            item.file_meta.TransferSyntaxUID = syntax
        elif syntax is not None:
            item.file_meta.TransferSyntaxUID = syntax
        path = tmp_path / "one.dcm"
        pydicom.dcmwrite(path, item, enforce_file_format=True)
        return path

    return write


@pytest.fixture
def values(read_series):
    def of(path):
        image = read_series(path).image
        return image.volume.values if hasattr(image, "volume") else image.image.values

    return of


def colour(**changes):
    return {
        "SOPClassUID": SECONDARY,
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "RGB",
        "PlanarConfiguration": 0,
        "ImagePositionPatient": None,
        **changes,
    }


class TestPlain:
    @pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"])
    def test_little_endian(self, written, values, syntax):
        np.testing.assert_array_equal(values(written(CT, syntax=syntax))[0], CT)

    def test_big_endian(self, written, values):
        pixels = CT.byteswap()

        np.testing.assert_array_equal(values(written(pixels, syntax=BIG))[0], CT)

    def test_bytes_in_big_endian_words_are_put_back(self, tmp_path, make_slice, values):
        item = make_slice(pixels=GREY, syntax=BIG)
        item.PixelData = GREY.reshape(-1, 2)[:, ::-1].tobytes()
        item["PixelData"].VR = "OW"
        pydicom.dcmwrite(tmp_path / "one.dcm", item, enforce_file_format=True)

        np.testing.assert_array_equal(values(tmp_path / "one.dcm")[0], GREY)

    def test_twelve_bits_with_a_sign(self, written, values):
        twelve = np.array([[0x7FF, 0x800, 0xFFF, 0x001]], np.int16)

        found = values(written(twelve, BitsStored=12, HighBit=11))

        assert found.ravel().tolist() == [2047, -2048, -1, 1]

    def test_overlays_in_unused_bits_are_cleared(self, written, values):
        with_overlay = np.array([[0xF123, 0x8FFF]], np.uint16)

        assert values(written(with_overlay, BitsStored=12, HighBit=11)).ravel().tolist() == [
            0x123,
            0xFFF,
        ]

    def test_values_may_sit_in_the_high_bits(self, written, values):
        high = np.array([[0x1230, 0xFFF0]], np.uint16)

        assert values(written(high, BitsStored=12, HighBit=15)).ravel().tolist() == [0x123, 0xFFF]

    def test_single_bits_run_on_from_frame_to_frame(self, tmp_path, make_slice, values):
        frames = NOISE.integers(0, 2, (3, 3, 5)).astype(np.uint8)
        item = make_slice(pixels=frames[0], **{**colour(SamplesPerPixel=1)})
        item.PhotometricInterpretation = "MONOCHROME2"
        item.BitsAllocated, item.BitsStored, item.HighBit = 1, 1, 0
        item.NumberOfFrames = 3
        item.PixelData = np.packbits(frames.ravel(), bitorder="little").tobytes()
        pydicom.dcmwrite(tmp_path / "one.dcm", item, enforce_file_format=True)

        np.testing.assert_array_equal(values(tmp_path / "one.dcm"), frames)

    def test_colours_in_planes(self, written, values):
        path = written(RGB, **colour(PlanarConfiguration=1))
        item = pydicom.dcmread(path)
        item.PixelData = np.moveaxis(RGB, -1, 0).tobytes()
        item.save_as(path)

        np.testing.assert_array_equal(values(path)[0], RGB)

    def test_brightness_and_colour_differences(self, written, values):
        # Corners of the colour cube, by the matrix of ITU-R BT.601 in full range.
        ybr = np.array([[[76, 85, 255], [150, 44, 21], [29, 255, 107], [255, 128, 128]]], np.uint8)

        found = values(written(ybr, **colour(PhotometricInterpretation="YBR_FULL")))

        expected = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]
        np.testing.assert_allclose(found[0, 0], expected, atol=2)

    def test_pixels_may_share_their_colour(self, written, values):
        path = written(RGB[:1, :2], **colour(PhotometricInterpretation="YBR_FULL_422"))
        item = pydicom.dcmread(path)
        item.PixelData = bytes([76, 76, 85, 255])
        item.save_as(path)

        np.testing.assert_allclose(values(path)[0, 0], [[255, 0, 0]] * 2, atol=2)

    def test_colours_of_16_bits_are_scaled_to_255(self, written, values):
        deep = np.array([[[0, 65535, 32768]]], np.uint16)

        np.testing.assert_allclose(
            values(written(deep, **colour()))[0, 0, 0], [0, 255, 127.502], 1e-4
        )

    def test_pixels_that_are_cut_off_are_refused(self, written, read_series):
        path = written(CT)
        path.write_bytes(path.read_bytes()[:-100])

        with pytest.raises(FileError, match=r"cut off: 1340 of 1440 bytes"):
            read_series(path)

    def test_a_file_without_pixels_is_refused(self, tmp_path, make_slice, read_series):
        item = make_slice()
        del item.PixelData
        pydicom.dcmwrite(tmp_path / "one.dcm", item, enforce_file_format=True)

        with pytest.raises(FileError, match="no pixel data"):
            read_series(tmp_path / "one.dcm")

    def test_more_frames_than_bytes_are_refused_at_once(self, written, read_series):
        start = time.perf_counter()
        with pytest.raises(FileError, match="declares 2000000000 frames"):
            read_series(written(CT, NumberOfFrames=2_000_000_000))
        assert time.perf_counter() - start < 2


class TestCompressed:
    @pytest.mark.parametrize(
        ("end", "pack"),
        [
            ("80", imagecodecs.jpegls_encode),
            ("90", lambda p: imagecodecs.jpeg2k_encode(p, level=0, codecformat="j2k")),
            ("70", lambda p: imagecodecs.ljpeg_encode(p)),
        ],
    )
    @pytest.mark.parametrize("pixels", [GREY, CT.astype(np.uint16) + 1000], ids=["8", "16"])
    def test_lossless_codecs_give_back_every_value(self, written, values, end, pack, pixels):
        path = written(pixels, frames=[pack(pixels)], syntax=JPEG + end)

        np.testing.assert_array_equal(values(path)[0], pixels)

    @pytest.mark.parametrize("pixels", [GREY, CT], ids=["8", "16"])
    def test_run_lengths(self, tmp_path, make_slice, values, pixels):
        item = make_slice(pixels=pixels)
        item.compress(RLELossless, encoding_plugin="pydicom")
        item.save_as(tmp_path / "one.dcm", enforce_file_format=True)

        np.testing.assert_array_equal(values(tmp_path / "one.dcm")[0], pixels.astype(np.float32))

    def test_signs_survive_codecs_that_know_none(self, written, values):
        twelve = (CT // 2).astype(np.int16)
        packed = imagecodecs.jpegls_encode((twelve & 0xFFF).astype(np.uint16))

        path = written(twelve, frames=[packed], syntax=JPEG + "80", BitsStored=12, HighBit=11)

        np.testing.assert_array_equal(values(path)[0], twelve)

    @pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL_422"])
    def test_colours_of_jpeg(self, written, values, photometric):
        smooth = np.stack(np.broadcast_arrays(*np.ogrid[40:200:24j, 60:180:30j], 90.0), -1)
        smooth = smooth.astype(np.uint8)
        inside = "RGB" if photometric == "RGB" else "YCBCR"
        packed = imagecodecs.jpeg8_encode(smooth, level=98, colorspace="RGB", outcolorspace=inside)

        path = written(
            smooth,
            frames=[packed],
            syntax=JPEG + "50",
            **colour(PhotometricInterpretation=photometric),
        )

        np.testing.assert_allclose(values(path)[0], smooth, atol=6)

    @pytest.mark.parametrize("cut", [1, 2, 3])
    def test_frames_may_come_in_fragments(self, tmp_path, make_slice, values, cut):
        frames = [GREY, GREY[::-1].copy(), GREY[:, ::-1].copy()]
        packed = [imagecodecs.jpeg2k_encode(f, level=0, codecformat="j2k") for f in frames]
        item = make_slice(pixels=GREY, SOPClassUID=SECONDARY, NumberOfFrames=3)
        item.PixelData = encapsulate(packed, fragments_per_frame=cut)
        item["PixelData"].is_undefined_length = True
        item.file_meta.TransferSyntaxUID = JPEG + "90"
        pydicom.dcmwrite(tmp_path / "one.dcm", item, enforce_file_format=True)

        np.testing.assert_array_equal(values(tmp_path / "one.dcm"), frames)

    def test_frames_may_be_found_by_an_extended_table(self, tmp_path, make_slice, values):
        frames = [GREY, GREY[::-1].copy()]
        packed = [imagecodecs.jpegls_encode(f) for f in frames]
        item = make_slice(pixels=GREY, SOPClassUID=SECONDARY, NumberOfFrames=2)
        data, offsets, lengths = encapsulate_extended(packed)
        item.PixelData = data
        item.ExtendedOffsetTable, item.ExtendedOffsetTableLengths = offsets, lengths
        item["PixelData"].is_undefined_length = True
        item.file_meta.TransferSyntaxUID = JPEG + "80"
        pydicom.dcmwrite(tmp_path / "one.dcm", item, enforce_file_format=True)

        np.testing.assert_array_equal(values(tmp_path / "one.dcm"), frames)

    def test_a_size_that_contradicts_the_header_is_refused(self, written, read_series):
        path = written(GREY, frames=[imagecodecs.jpegls_encode(GREY[:20])], syntax=JPEG + "80")

        with pytest.raises(FileError, match="but the header says"):
            read_series(path)

    def test_an_unknown_syntax_is_named(self, written, read_series):
        path = written(GREY, frames=[b"1234"], syntax=JPEG + "102")

        with pytest.raises(FileError, match=r"1\.2\.840\.10008\.1\.2\.4\.102 is not supported"):
            read_series(path)

    def test_one_child_serves_a_whole_series(self, tmp_path, make_slice, write_series, read_series):
        slices = []
        for i in range(12):
            item = make_slice(i, pixels=GREY)
            item.PixelData = encapsulate([imagecodecs.jpegls_encode(GREY + np.uint8(i))])
            item["PixelData"].is_undefined_length = True
            item.file_meta.TransferSyntaxUID = JPEG + "80"
            slices.append(item)
        folder = write_series(tmp_path / "s", slices)
        read_series(folder)
        child = decoding.shared_decoder().process_id

        volume = read_series(folder).image.volume

        assert decoding.shared_decoder().process_id == child
        for i in range(12):
            np.testing.assert_array_equal(volume.values[i], GREY + np.uint8(i))


def frame_facts(codec="jpeg-ls", rows=24, columns=30):
    return FrameFacts(
        codec=codec,
        rows=rows,
        columns=columns,
        samples=1,
        bits_allocated=8,
        photometric="MONOCHROME2",
    )


@pytest.fixture
def decoder():
    made = Decoder()
    yield made
    made.stop()


def is_running(process_id):
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


class TestContainment:
    def test_nonsense_is_refused_and_the_child_lives_on(self, decoder):
        decoder.frame(imagecodecs.jpegls_encode(GREY), frame_facts())
        child = decoder.process_id

        with pytest.raises(Refused):
            decoder.frame(b"nonsense" * 20, frame_facts())

        np.testing.assert_array_equal(
            decoder.frame(imagecodecs.jpegls_encode(GREY), frame_facts()), GREY
        )
        assert decoder.process_id == child

    def test_a_killed_child_is_replaced(self, decoder):
        decoder.frame(imagecodecs.jpegls_encode(GREY), frame_facts())
        first = decoder.process_id
        os.kill(first, signal.SIGSTOP)
        # The parent waits for an answer when the child dies of a signal.
        threading.Timer(0.3, os.kill, (first, signal.SIGKILL)).start()

        with pytest.raises(Refused, match=r"crashed \(signal 9\)"):
            decoder.frame(imagecodecs.jpegls_encode(GREY), frame_facts())

        decoder.frame(imagecodecs.jpegls_encode(GREY), frame_facts())
        assert decoder.process_id != first

    def test_a_hanging_child_is_killed_after_the_deadline(self):
        decoder = Decoder(deadline_s=0.5)
        decoder.frame(imagecodecs.jpegls_encode(GREY), frame_facts())
        child = decoder.process_id
        os.kill(child, signal.SIGSTOP)

        start = time.perf_counter()
        with pytest.raises(Refused, match="too long"):
            decoder.frame(imagecodecs.jpegls_encode(GREY), frame_facts())

        assert time.perf_counter() - start < 3
        assert not is_running(child)
        decoder.stop()

    def test_memory_is_limited(self):
        decoder = Decoder(memory_mib=64)
        # A few kilobytes that become 400 MB.
        huge = imagecodecs.jpegls_encode(np.zeros((20_000, 20_000), np.uint8))

        with pytest.raises(Refused):
            decoder.frame(huge, frame_facts(rows=20_000, columns=20_000))

        decoder.stop()

    def test_stopping_ends_the_child(self):
        decoder = Decoder()
        decoder.frame(imagecodecs.jpegls_encode(GREY), frame_facts())
        child = decoder.process_id

        decoder.stop()

        assert decoder.process_id is None
        assert not is_running(child)

    def test_the_child_ends_with_its_parent_even_if_that_is_killed(self, tmp_path):
        script = (
            "import os, signal, imagecodecs, numpy as np\n"
            "from aegle.dicom.decoding import shared_decoder, FrameFacts\n"
            "d = shared_decoder()\n"
            "g = np.zeros((4, 4), np.uint8)\n"
            "f = FrameFacts(codec='jpeg-ls', rows=4, columns=4, samples=1,"
            " bits_allocated=8, photometric='')\n"
            "d.frame(imagecodecs.jpegls_encode(g), f)\n"
            "print(d.process_id, flush=True)\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=False,
        )
        child = int(done.stdout)
        until = time.monotonic() + 5
        while is_running(child) and time.monotonic() < until:
            time.sleep(0.05)

        assert done.returncode == -signal.SIGKILL
        assert not is_running(child)


@pytest.fixture(scope="module")
def scanner_images(shared_data, tmp_path_factory):
    """Real images of one scene each, in several syntaxes, by name of the scene."""
    folder = tmp_path_factory.mktemp("scenes")
    with zipfile.ZipFile(shared_data("dicom_zoo", "files.zip")) as archive:
        names = {n.rsplit("/", 1)[-1].split("_", 1)[-1]: n for n in archive.namelist()}
        wanted = [n for n in names if n[:2] in ("MR", "XA", "NM", "CT", "RG") and len(n) < 9]
        return {n: _picture(archive.read(names[n]), folder) for n in wanted}


@pytest.mark.parametrize(
    ("scene", "syntaxes"),
    [
        pytest.param("MR4", ("JPLL", "RLE", "JLSL"), id="MR: lossless JPEG, RLE, JPEG-LS"),
        pytest.param("XA1", ("JPLL", "JLSL", "J2KR"), id="XA: lossless JPEG, JPEG-LS, JPEG 2000"),
        pytest.param("NM1", ("RLE", "JLSL", "J2KR"), id="NM: RLE, JPEG-LS, JPEG 2000"),
        pytest.param("CT2", ("RLE", "JLSL"), id="CT: RLE, JPEG-LS"),
    ],
)
def test_all_lossless_syntaxes_of_a_scene_give_the_same_values(scanner_images, scene, syntaxes):
    first, *others = (scanner_images[f"{scene}_{syntax}"] for syntax in syntaxes)

    assert first.std() > 0
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize(
    ("lossy", "lossless"),
    [
        pytest.param("MR3_JPLY", "MR3_JPLL", id="JPEG Extended of 12 bits"),
        pytest.param("MR4_JPLY", "MR4_JPLL", id="JPEG Extended of 12 bits, another"),
        pytest.param("XA1_JPLY", "XA1_JPLL", id="JPEG Extended of 10 bits"),
        pytest.param("XA1_J2KI", "XA1_J2KR", id="JPEG 2000"),
        pytest.param("MR4_JLSN", "MR4_JLSL", id="JPEG-LS"),
    ],
)
def test_lossy_syntaxes_resemble_the_lossless_image(scanner_images, lossy, lossless):
    expected = scanner_images[lossless]

    difference = np.abs(scanner_images[lossy] - expected)

    assert 0 < difference.mean() < 0.01 * (expected.max() - expected.min())


def _picture(content, folder):
    path = folder / "one.dcm"
    path.write_bytes(content)
    (series,) = scan([path], options=ScanOptions()).series
    image = images.read(series, options=ImageOptions()).image
    return image.volume.values if hasattr(image, "volume") else image.image.values


def test_palettes(tmp_path, make_slice, values):
    indices = np.array([[0, 1, 2, 3]], np.uint8)
    changes = colour(SamplesPerPixel=1, PhotometricInterpretation="PALETTE COLOR")
    del changes["PlanarConfiguration"]
    item = make_slice(pixels=indices, **changes)
    for name, entries in {
        "Red": (0, 65535, 0, 65535),
        "Green": (0, 0, 65535, 65535),
        "Blue": (0, 0, 0, 65535),
    }.items():
        setattr(item, f"{name}PaletteColorLookupTableDescriptor", [4, 0, 16])
        setattr(item, f"{name}PaletteColorLookupTableData", struct.pack("<4H", *entries))
    pydicom.dcmwrite(tmp_path / "one.dcm", item, enforce_file_format=True)

    expected = [[0, 0, 0], [255, 0, 0], [0, 255, 0], [255, 255, 255]]
    np.testing.assert_allclose(values(tmp_path / "one.dcm")[0, 0], expected)
