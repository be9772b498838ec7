#include <gmock/gmock.h>
#include <png.h>
#include <turbojpeg.h>
#include <zlib.h>

#include <algorithm>
#include <array>

#include "comm/base/error.h"
#include "trainer/data/images/jpeg.h"
#include "trainer/data/images/png.h"

// That the pixels are Pillow's is tested in tests/interop.
namespace lockstep {
namespace {

using testing::AllOf;
using testing::HasSubstr;

using Bytes = std::vector<std::uint8_t>;

Image decode_whole(std::span<const std::uint8_t> file, const std::string& name, std::int64_t mib) {
  return decode_jpeg(file, name, mib);
}

constexpr std::int64_t height = 3;
constexpr std::int64_t width = 5;
constexpr std::int64_t max_mib = 1;

Bytes ramp(std::size_t size) {
  Bytes pixels(size);
  for (std::size_t i = 0; i < size; ++i) pixels[i] = static_cast<std::uint8_t>(17 * i);
  return pixels;
}

Bytes png_of(png_uint_32 format, const void* pixels, const void* colors = nullptr) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = width;
  image.height = height;
  image.format = format;
  image.colormap_entries = colors == nullptr ? 0 : 2;
  png_alloc_size_t size = 1 << 16;
  Bytes file(size);
  EXPECT_NE(png_image_write_to_memory(&image, file.data(), &size, 0, pixels, 0, colors), 0) << image.message;
  file.resize(size);
  return file;
}

Bytes jpeg_of(int format, int subsampling, int flags = 0) {
  const Bytes pixels(static_cast<std::size_t>(height * width * tjPixelSize[format]), 100);
  tjhandle jpeg = tjInitCompress();
  unsigned char* memory = nullptr;
  unsigned long size = 0;  // NOLINT(google-runtime-int): as the library has it
  EXPECT_EQ(
      tjCompress2(jpeg, pixels.data(), width, 0, height, format, &memory, &size, subsampling, 95, flags), 0);
  Bytes file(memory, memory + size);
  tjFree(memory);
  tjDestroy(jpeg);
  return file;
}

template <class Decode>
std::string refusal(Decode decode, const Bytes& file, std::int64_t mib = max_mib) {
  try {
    decode(file, "shoe", mib);
  } catch (const DataError& error) {
    return error.what();
  }
  return "nothing";
}

TEST(Png, GrayStaysGrayAndColorsStayColors) {
  const Bytes gray = ramp(height * width);
  EXPECT_EQ(decode_png(png_of(PNG_FORMAT_GRAY, gray.data()), "a", max_mib).pixels, gray);
  const Image image = decode_png(png_of(PNG_FORMAT_RGB, ramp(3 * height * width).data()), "a", max_mib);
  EXPECT_EQ(image.shape, (SampleShape{height, width, 3}));
  EXPECT_EQ(image.pixels, ramp(3 * height * width));
}

TEST(Png, TransparencyIsLeftOut) {
  const Bytes some = ramp(4 * height * width);
  const Image image = decode_png(png_of(PNG_FORMAT_RGBA, some.data()), "a", max_mib);
  ASSERT_EQ(image.pixels.size(), 3U * height * width);
  for (std::size_t i = 0; i < image.pixels.size(); ++i)
    EXPECT_EQ(image.pixels[i], some[i / 3 * 4 + i % 3]) << i;
}

TEST(Png, APaletteIsLookedUp) {
  const std::array<std::uint8_t, 6> colors{10, 20, 30, 40, 50, 60};
  Bytes indices(height * width, 0);
  indices[1] = 1;
  const Image image =
      decode_png(png_of(PNG_FORMAT_RGB_COLORMAP, indices.data(), colors.data()), "a", max_mib);
  EXPECT_THAT(Bytes(image.pixels.begin(), image.pixels.begin() + 6),
              testing::ElementsAre(10, 20, 30, 40, 50, 60));
}

TEST(Png, NamesTheFileAndWhatIsWrong) {
  Bytes file = png_of(PNG_FORMAT_GRAY, ramp(height * width).data());
  ASSERT_TRUE(is_png(file));
  file[file.size() / 2] ^= 0x55U;
  EXPECT_THAT(refusal(decode_png, file), HasSubstr("shoe: cannot be decoded as PNG: "));
  file.resize(40);
  EXPECT_THAT(refusal(decode_png, file), HasSubstr("shoe: cannot be decoded as PNG: "));
}

TEST(Jpeg, GrayStaysGrayAndColorsStayColors) {
  for (const int flags : {0, TJFLAG_PROGRESSIVE}) {
    const Image gray = decode_jpeg(jpeg_of(TJPF_GRAY, TJSAMP_GRAY, flags), "a", max_mib);
    EXPECT_EQ(gray.shape, (SampleShape{height, width, 1}));
    EXPECT_EQ(gray.pixels, Bytes(height * width, 100));
    const Image colors = decode_jpeg(jpeg_of(TJPF_RGB, TJSAMP_420, flags), "a", max_mib);
    EXPECT_EQ(colors.shape, (SampleShape{height, width, 3}));
    EXPECT_EQ(colors.pixels, Bytes(3 * height * width, 100));
  }
}

TEST(Jpeg, IsDecodedAtAPartOfItsSize) {
  const Bytes file = jpeg_of(TJPF_RGB, TJSAMP_444);
  EXPECT_EQ(jpeg_shape(file, "a"), (SampleShape{height, width, 3}));
  for (const std::int64_t shrink : {1, 2, 4, 8}) {
    const Image image = decode_jpeg(file, "a", max_mib, shrink);
    EXPECT_EQ(image.shape, (SampleShape{(height + shrink - 1) / shrink, (width + shrink - 1) / shrink, 3}));
    EXPECT_THAT(image.pixels, testing::Each(100));
  }
}

TEST(Jpeg, NamesTheFileAndWhatIsWrong) {
  Bytes file = jpeg_of(TJPF_RGB, TJSAMP_444);
  ASSERT_TRUE(is_jpeg(file));
  EXPECT_THAT(refusal(decode_whole, jpeg_of(TJPF_CMYK, TJSAMP_444)),
              HasSubstr("shoe: its colors are those of print"));
  file.resize(file.size() - 8);
  EXPECT_THAT(refusal(decode_whole, file), HasSubstr("shoe: cannot be decoded as JPEG: "));
  file.resize(20);
  EXPECT_THAT(refusal(decode_whole, file), HasSubstr("shoe: cannot be decoded as JPEG: "));
}

// Headers of some hundred bytes that claim gigabytes.
TEST(Pictures, AskForNoMemoryThatTheyDoNotFill) {
  Bytes jpeg = jpeg_of(TJPF_GRAY, TJSAMP_GRAY);
  const std::array<std::uint8_t, 2> frame{0xFF, 0xC0};
  const auto sides = std::search(jpeg.begin(), jpeg.end(), frame.begin(), frame.end()) + 5;
  std::fill_n(sides, 4, std::uint8_t{0x7F});
  EXPECT_THAT(refusal(decode_whole, jpeg, 1 << 20),
              AllOf(HasSubstr("shoe: truncated"), HasSubstr("32639x32639 pixels")));

  Bytes png = png_of(PNG_FORMAT_GRAY, ramp(height * width).data());
  constexpr std::array<std::uint8_t, 8> large{0, 0, 0x7F, 0xFF, 0, 0, 0x7F, 0xFF};
  std::ranges::copy(large, png.begin() + 16);
  const auto sum = static_cast<std::uint32_t>(crc32(0, png.data() + 12, 17));
  for (std::size_t i = 0; i < 4; ++i) png[29 + i] = static_cast<std::uint8_t>(sum >> (24 - 8 * i));
  EXPECT_THAT(refusal(decode_png, png, 1 << 20),
              AllOf(HasSubstr("shoe: truncated"), HasSubstr("32767x32767 pixels")));
}

TEST(Pictures, AreNoLargerThanTheConfigurationAllows) {
  EXPECT_THAT(
      refusal(decode_png, png_of(PNG_FORMAT_GRAY, ramp(height * width).data()), 0),
      AllOf(HasSubstr("shoe: its header declares 3x5 pixels"), HasSubstr("data.max_mib allows 0 MiB")));
  EXPECT_THAT(refusal(decode_whole, jpeg_of(TJPF_RGB, TJSAMP_444), 0),
              HasSubstr("data.max_mib allows 0 MiB"));
}

}  // namespace
}  // namespace lockstep
