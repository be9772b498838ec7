#include "trainer/data/images/jpeg.h"

#include "tests/fuzz/pictures.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lockstep::fuzz::try_picture(&lockstep::decode_jpeg, {data, size});
  return 0;
}
