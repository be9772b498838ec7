#include "trainer/data/images/jpeg.h"

#include <fmt/format.h>
#include <turbojpeg.h>

#include <memory>
#include <new>

#include "comm/base/error.h"
#include "comm/base/text.h"
#include "trainer/data/images/limits.h"

namespace lockstep {
namespace {

// A block of 8 × 8 takes at least a bit, and at the coarsest sampling 8 blocks are 32 × 32 pixels.
constexpr std::int64_t most_pixels_a_byte = 1024;

// Not to guess what is missing, nor to go through a small file's scans for minutes.
constexpr int flags = TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS | TJFLAG_ACCURATEDCT;

class Reader {
 public:
  explicit Reader(std::string name) : name_(std::move(name)), jpeg_(tjInitDecompress(), &tjDestroy) {
    if (jpeg_ == nullptr) throw std::bad_alloc();
  }

  // Rows, columns, and what channels they will have.
  SampleShape begin(std::span<const std::uint8_t> file) {
    int width = 0;
    int height = 0;
    int subsampling = 0;
    int colors = 0;
    check(tjDecompressHeader3(jpeg_.get(), file.data(), file.size(), &width, &height, &subsampling, &colors));
    if (colors == TJCS_CMYK || colors == TJCS_YCCK) {
      throw DataError(fmt::format("{}: its colors are those of print (CMYK); it must be gray or RGB", name_));
    }
    return {height, width, colors == TJCS_GRAY ? 1 : 3};
  }

  std::vector<std::uint8_t> finish(std::span<const std::uint8_t> file, const SampleShape& shape) {
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(shape.elements()));
    const int format = shape.channels == 1 ? TJPF_GRAY : TJPF_RGB;
    check(tjDecompress2(jpeg_.get(), file.data(), file.size(), pixels.data(), static_cast<int>(shape.width),
                        0, static_cast<int>(shape.height), format, flags));
    return pixels;
  }

 private:
  void check(int failure) const {
    if (failure == 0) return;
    throw DataError(
        fmt::format("{}: cannot be decoded as JPEG: {}", name_, printable(tjGetErrorStr2(jpeg_.get()), 160)));
  }

  std::string name_;
  std::unique_ptr<void, int (*)(tjhandle)> jpeg_;
};

}  // namespace

bool is_jpeg(std::span<const std::uint8_t> file) {
  return file.size() >= 3 && file[0] == 0xFF && file[1] == 0xD8 && file[2] == 0xFF;
}

SampleShape jpeg_shape(std::span<const std::uint8_t> file, const std::string& name) {
  return Reader(name).begin(file);
}

Image decode_jpeg(std::span<const std::uint8_t> file, const std::string& name, std::int64_t max_mib,
                  std::int64_t shrink) {
  Reader reader(name);
  SampleShape shape = reader.begin(file);
  check_picture(name, shape, file.size(), most_pixels_a_byte, max_mib);
  shape.height = (shape.height + shrink - 1) / shrink;
  shape.width = (shape.width + shrink - 1) / shrink;
  return {shape, reader.finish(file, shape)};
}

}  // namespace lockstep
