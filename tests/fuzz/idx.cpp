// Both kinds of IDX file, plain and gzip.
#include "trainer/data/idx.h"

#include <span>

#include "comm/base/error.h"
#include "tests/fuzz/fuzz.h"

using namespace lockstep;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::int64_t max_mib = 1;
  const std::span file(data, size);
  try {
    const ImageArray images = parse_idx_images(file, "a", max_mib);
    fuzz::require(images.pixels.size() == static_cast<std::size_t>(images.count * images.shape.elements()),
                  "pixels are those of the shape");
    fuzz::require(images.count > 0, "a file has images");
  } catch (const DataError&) {
  }
  try {
    fuzz::require(!parse_idx_labels(file, "a", max_mib).empty(), "a file has labels");
  } catch (const DataError&) {
  }
  return 0;
}
