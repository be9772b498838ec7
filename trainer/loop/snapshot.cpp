#include "trainer/loop/snapshot.h"

#include <algorithm>
#include <span>

namespace lockstep {

void Snapshot::take(const std::vector<ModelTensor>& state) {
  std::size_t size = 0;
  for (const ModelTensor& tensor : state) size += tensor.bytes.size();
  bytes_.clear();
  bytes_.reserve(size);
  for (const ModelTensor& tensor : state) {
    bytes_.insert(bytes_.end(), tensor.bytes.begin(), tensor.bytes.end());
  }
}

void Snapshot::restore(const std::vector<ModelTensor>& state) const {
  auto from = bytes_.begin();
  for (const ModelTensor& tensor : state) {
    const auto end = from + static_cast<std::ptrdiff_t>(tensor.bytes.size());
    std::copy(from, end, tensor.bytes.begin());
    from = end;
  }
}

std::vector<ModelTensor> Snapshot::taken(std::vector<ModelTensor> state) {
  std::span<std::byte> rest = bytes_;
  for (ModelTensor& tensor : state) {
    const std::size_t size = tensor.bytes.size();
    tensor.bytes = rest.first(size);
    rest = rest.subspan(size);
  }
  return state;
}

}  // namespace lockstep
