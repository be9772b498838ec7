// Pixels of pictures as `predict` sees them, of one picture behind the other:
// interop_pictures HEIGHT WIDTH CHANNELS PICTURE... >PIXELS
#include <cstdlib>
#include <iostream>
#include <vector>

#include "comm/base/error.h"
#include "trainer/data/dataset.h"

int main(int count, char** arguments) {
  using namespace lockstep;
  if (count < 5) {
    std::cerr << "usage: interop_pictures HEIGHT WIDTH CHANNELS PICTURE...\n";
    return 2;
  }
  const SampleShape shape{std::atoll(arguments[1]), std::atoll(arguments[2]), std::atoll(arguments[3])};
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(shape.elements()));
  try {
    for (int i = 4; i < count; ++i) {
      read_images(arguments[i], shape, 1024)->get(0, pixels);
      std::cout.write(reinterpret_cast<const char*>(pixels.data()),
                      static_cast<std::streamsize>(pixels.size()));
    }
  } catch (const Error& error) {
    std::cerr << error.what() << "\n";
    return static_cast<int>(error.code());
  }
  return 0;
}
