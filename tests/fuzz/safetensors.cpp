#include <algorithm>

#include "comm/base/error.h"
#include "tests/fuzz/fuzz.h"
#include "trainer/checkpoint/safetensors.h"

using namespace lockstep;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    Buffer contents(size);
    std::copy_n(reinterpret_cast<const std::byte*>(data), size, contents.data());
    const SafetensorsFile file = SafetensorsFile::parse(std::move(contents), size, "a");
    std::size_t bytes = 0;
    for (const TensorView& tensor : file.tensors()) {
      bytes += tensor.bytes.size();
      fuzz::require(
          tensor.bytes.size() == static_cast<std::size_t>(elements(tensor.dims)) * size_of(tensor.dtype),
          "a tensor's bytes are those of its shape");
      fuzz::require(file.find(tensor.name) == &tensor, "a tensor is found by its name");
    }
    fuzz::require(bytes <= size, "the tensors lie in the file");
    // What was read can be written, and says the same.
    const std::string header = safetensors_header(file.tensors(), file.metadata());
    Buffer again(header.size() + bytes);
    std::copy_n(reinterpret_cast<const std::byte*>(header.data()), header.size(), again.data());
    const SafetensorsFile second = SafetensorsFile::parse(std::move(again), header.size() + bytes, "b");
    fuzz::require(second.metadata() == file.metadata(), "metadata survive being written");
    fuzz::require(second.tensors().size() == file.tensors().size(), "tensors survive being written");
  } catch (const DataError&) {
  }
  return 0;
}
