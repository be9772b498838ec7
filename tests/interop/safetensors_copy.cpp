// Reads a safetensors file and writes what was in it: interop_safetensors IN OUT
#include <iostream>

#include "comm/base/error.h"
#include "trainer/checkpoint/safetensors.h"

int main(int count, char** arguments) {
  using namespace lockstep;
  if (count != 3) {
    std::cerr << "usage: interop_safetensors IN OUT\n";
    return 2;
  }
  try {
    const SafetensorsFile file = SafetensorsFile::read(arguments[1]);
    write_safetensors(arguments[2], file.tensors(), file.metadata());
  } catch (const Error& error) {
    std::cerr << error.what() << "\n";
    return static_cast<int>(error.code());
  }
  return 0;
}
