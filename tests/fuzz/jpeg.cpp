#include "trainer/data/images/jpeg.h"

#include "tests/fuzz/pictures.h"

using namespace lockstep;

namespace {

// At a part of its size, as random crops may want it.
Image decode_small(std::span<const std::uint8_t> file, const std::string& name, std::int64_t max_mib) {
  constexpr std::int64_t shrink = 4;
  const SampleShape whole = jpeg_shape(file, name);
  Image image = decode_jpeg(file, name, max_mib, shrink);
  fuzz::require(image.shape.height == (whole.height + shrink - 1) / shrink, "a quarter of the rows");
  return image;
}

Image decode_whole(std::span<const std::uint8_t> file, const std::string& name, std::int64_t max_mib) {
  return decode_jpeg(file, name, max_mib);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::try_picture(&decode_whole, {data, size});
  fuzz::try_picture(&decode_small, {data, size});
  return 0;
}
