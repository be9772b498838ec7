#include "trainer/data/images/picture.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <system_error>

#include "trainer/checkpoint/whole_file.h"
#include "trainer/data/images/fit.h"
#include "trainer/data/images/jpeg.h"
#include "trainer/data/images/png.h"

namespace lockstep {
namespace {

std::span<const std::uint8_t> bytes_of(const FileBytes& file) {
  return {reinterpret_cast<const std::uint8_t*>(file.contents.data()), file.bytes};
}

std::int64_t shrink_for(const Region& region, const SampleShape& shape) {
  for (const std::int64_t shrink : {8, 4, 2}) {
    if (region.height >= shrink * shape.height && region.width >= shrink * shape.width) return shrink;
  }
  return 1;
}

// The nearest edges on a side of `size` pixels.
void shrink_side(std::int64_t& first, std::int64_t& count, std::int64_t shrink, std::int64_t size) {
  const auto shrunk = [&](std::int64_t edge) { return (edge + shrink / 2) / shrink; };
  const std::int64_t end = std::min(shrunk(first + count), size);
  first = std::min(shrunk(first), end - 1);
  count = end - first;
}

Image decode_region(std::span<const std::uint8_t> file, const std::string& name, std::int64_t max_mib,
                    const ChooseRegion& choose, const SampleShape& shape) {
  if (is_png(file)) {
    const Image image = decode_png(file, name, max_mib);
    return resized_cut(image, choose(image.shape.height, image.shape.width), shape.height, shape.width);
  }
  const SampleShape whole = jpeg_shape(file, name);
  Region region = choose(whole.height, whole.width);
  const std::int64_t shrink = shrink_for(region, shape);
  const Image image = decode_jpeg(file, name, max_mib, shrink);
  if (shrink > 1) {
    shrink_side(region.top, region.height, shrink, image.shape.height);
    shrink_side(region.left, region.width, shrink, image.shape.width);
  }
  return resized_cut(image, region, shape.height, shape.width);
}

}  // namespace

bool is_picture(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored))
    return false;  // a pipe would wait, and lose its bytes
  std::array<char, 8> head{};
  std::ifstream(path, std::ios::binary).read(head.data(), head.size());
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(head.data()), head.size());
  return is_png(bytes) || is_jpeg(bytes);
}

Image read_picture(const std::filesystem::path& path, std::int64_t max_mib) {
  const FileBytes file = read_whole_file(path);
  const std::span bytes = bytes_of(file);
  return is_png(bytes) ? decode_png(bytes, path.string(), max_mib)
                       : decode_jpeg(bytes, path.string(), max_mib);
}

Image read_region(const std::filesystem::path& path, std::int64_t max_mib, const ChooseRegion& choose,
                  const SampleShape& shape) {
  const FileBytes file = read_whole_file(path);
  return with_channels(decode_region(bytes_of(file), path.string(), max_mib, choose, shape), shape.channels);
}

}  // namespace lockstep
