#include "trainer/data/images/png.h"

#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstring>
#include <new>
#include <stdexcept>

#include "comm/base/error.h"
#include "comm/base/text.h"
#include "trainer/data/images/limits.h"

namespace lockstep {
namespace {

// Deflate unpacks one byte to at most 1032, and a byte is at most eight pixels.
constexpr std::int64_t most_pixels_a_byte = 1032 * 8;

// libpng's state for one file. Gamma, color profiles and significant bits, of which files may tell, change no
// pixel. Where libpng gives up it jumps back to `check`: until then nothing may live that is to be destroyed.
class Reader {
 public:
  Reader(std::span<const std::uint8_t> file, const std::string& name)
      : file_(file), name_(name), png_(png_create_read_struct(PNG_LIBPNG_VER_STRING, this, give_up, ignore)) {
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      throw std::bad_alloc();
    }
    png_set_read_fn(png_, this, copy_input);
    png_set_benign_errors(png_, 1);
    // What does not make pixels (texts, profiles) is not even unpacked.
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { png_destroy_read_struct(&png_, &info_, nullptr); }

  SampleShape begin() {
    check([this] { png_read_info(png_, info_); });
    const bool color = (png_get_color_type(png_, info_) & PNG_COLOR_MASK_COLOR) != 0;
    return {png_get_image_height(png_, info_), png_get_image_width(png_, info_), color ? 3 : 1};
  }

  // 8 bits a value, of 16 the upper ones; without alpha.
  std::vector<std::uint8_t> finish(const SampleShape& shape) {
    check([this] {
      png_set_expand(png_);
      png_set_strip_16(png_);
      png_set_strip_alpha(png_);
      png_set_interlace_handling(png_);
      png_read_update_info(png_, info_);
    });
    const auto row_bytes = static_cast<std::size_t>(shape.width * shape.channels);
    if (png_get_rowbytes(png_, info_) != row_bytes) throw std::logic_error("png: rows of another length");
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(shape.elements()));
    std::vector<std::uint8_t*> rows(static_cast<std::size_t>(shape.height));
    for (std::size_t row = 0; row < rows.size(); ++row) rows[row] = pixels.data() + row * row_bytes;
    check([this, &rows] { png_read_image(png_, rows.data()); });
    return pixels;
  }

 private:
  template <class Work>
  void check(const Work& work) {
    if (!succeeds(work)) {
      throw DataError(fmt::format("{}: cannot be decoded as PNG: {}", name_, printable(message_.data())));
    }
  }

  template <class Work>
  bool succeeds(const Work& work) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    work();
    return true;
  }

  [[noreturn]] static void give_up(png_structp png, png_const_charp message) {
    auto& reader = *static_cast<Reader*>(png_get_error_ptr(png));
    std::strncpy(reader.message_.data(), message, reader.message_.size() - 1);
    png_longjmp(png, 1);
  }

  static void ignore(png_structp /*png*/, png_const_charp /*warning*/) {}

  static void copy_input(png_structp png, png_bytep to, std::size_t bytes) {
    auto& reader = *static_cast<Reader*>(png_get_io_ptr(png));
    if (bytes > reader.file_.size()) png_error(png, "the file ends too early");
    std::memcpy(to, reader.file_.data(), bytes);
    reader.file_ = reader.file_.subspan(bytes);
  }

  std::span<const std::uint8_t> file_;  // what is left to be read
  const std::string& name_;
  std::array<char, 128> message_{};
  png_structp png_;
  png_infop info_ = nullptr;
};

}  // namespace

bool is_png(std::span<const std::uint8_t> file) {
  constexpr std::array<std::uint8_t, 8> signature{0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
  return file.size() >= signature.size() && std::equal(signature.begin(), signature.end(), file.begin());
}

Image decode_png(std::span<const std::uint8_t> file, const std::string& name, std::int64_t max_mib) {
  Reader reader(file, name);
  const SampleShape shape = reader.begin();
  check_picture(name, shape, file.size(), most_pixels_a_byte, max_mib);
  return {shape, reader.finish(shape)};
}

}  // namespace lockstep
