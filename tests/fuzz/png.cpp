#include "trainer/data/images/png.h"

#include "tests/fuzz/pictures.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lockstep::fuzz::try_picture(&lockstep::decode_png, {data, size});
  return 0;
}
