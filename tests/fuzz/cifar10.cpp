// A file of records, and one of class names.
#include "trainer/data/cifar10.h"

#include <algorithm>
#include <span>

#include "comm/base/error.h"
#include "tests/fuzz/fuzz.h"

using namespace lockstep;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Cifar10Images read;
  try {
    parse_cifar10(std::span(data, size), "a", read);
    fuzz::require(read.images.count > 0, "a file has images");
    fuzz::require(std::ranges::max(read.labels) < 10, "labels are below 10");
  } catch (const DataError&) {
    fuzz::require(read.images.count == 0, "nothing is taken from a file that is refused");
  }
  const std::int64_t values = read.images.count * read.images.shape.elements();
  fuzz::require(read.images.pixels.size() == static_cast<std::size_t>(values),
                "pixels are those of the images");
  fuzz::require(read.labels.size() == static_cast<std::size_t>(read.images.count), "each image has a label");
  try {
    fuzz::require(parse_cifar10_names(fuzz::text_of(data, size), "a").size() == 10, "there are ten names");
  } catch (const DataError&) {
  }
  return 0;
}
