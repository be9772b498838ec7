#include "trainer/data/images/png.h"

#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <array>

#include "comm/base/error.h"
#include "comm/base/text.h"
#include "trainer/data/images/limits.h"

namespace lockstep {
namespace {

// Deflate unpacks one byte to at most 1032, and a byte is at most eight pixels.
constexpr std::int64_t most_pixels_a_byte = 1032 * 8;

// libpng's state for one file. Its simplified interface turns libpng's jumps into answers.
class Reader {
 public:
  explicit Reader(std::string name) : name_(std::move(name)) { png_.version = PNG_IMAGE_VERSION; }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { png_image_free(&png_); }

  void begin(std::span<const std::uint8_t> file) {
    check(png_image_begin_read_from_memory(&png_, file.data(), file.size()));
    png_.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;  // or 16 bits a value would be taken for linear light
  }

  bool has_color() const { return (png_.format & PNG_FORMAT_FLAG_COLOR) != 0; }
  bool has_alpha() const { return (png_.format & PNG_FORMAT_FLAG_ALPHA) != 0; }
  SampleShape shape() const { return {png_.height, png_.width, has_color() ? 3 : 1}; }

  // 8 bits a value, alpha behind the colors where there is any.
  std::vector<std::uint8_t> finish() {
    png_.format = (has_color() ? PNG_FORMAT_FLAG_COLOR : 0U) | (has_alpha() ? PNG_FORMAT_FLAG_ALPHA : 0U);
    std::vector<std::uint8_t> pixels(PNG_IMAGE_SIZE(png_));
    check(png_image_finish_read(&png_, nullptr, pixels.data(), 0, nullptr));
    return pixels;
  }

 private:
  void check(int success) const {
    if (success != 0) return;
    throw DataError(fmt::format("{}: cannot be decoded as PNG: {}", name_, printable(png_.message)));
  }

  std::string name_;
  png_image png_{};
};

// Closes the gaps that alpha values leave.
std::vector<std::uint8_t> without_alpha(std::vector<std::uint8_t> pixels, std::size_t channels) {
  auto to = pixels.begin();
  for (std::size_t from = 0; from < pixels.size(); from += channels + 1) {
    to = std::copy_n(pixels.begin() + static_cast<std::ptrdiff_t>(from), channels, to);
  }
  pixels.erase(to, pixels.end());
  return pixels;
}

}  // namespace

bool is_png(std::span<const std::uint8_t> file) {
  constexpr std::array<std::uint8_t, 8> signature{0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
  return file.size() >= signature.size() && std::equal(signature.begin(), signature.end(), file.begin());
}

Image decode_png(std::span<const std::uint8_t> file, const std::string& name, std::int64_t max_mib) {
  Reader reader(name);
  reader.begin(file);
  const SampleShape shape = reader.shape();
  check_picture(name, shape, file.size(), most_pixels_a_byte, max_mib);
  const bool alpha = reader.has_alpha();
  std::vector<std::uint8_t> pixels = reader.finish();
  if (alpha) pixels = without_alpha(std::move(pixels), static_cast<std::size_t>(shape.channels));
  return {shape, std::move(pixels)};
}

}  // namespace lockstep
