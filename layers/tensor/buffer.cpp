#include "layers/tensor/buffer.h"

#include <sys/mman.h>

#include <memory>
#include <new>

namespace lockstep {
namespace {

// A network's weights are read from end to end for every few images; in small pages each of them costs a walk
// through the page table. An advice, which the system may leave aside.
void prefer_large_pages(void* start, std::size_t bytes) {
  constexpr std::size_t large_page = std::size_t{1} << 21U;
  if (std::align(large_page, large_page, start, bytes) == nullptr) return;  // too small
  madvise(start, bytes / large_page * large_page, MADV_HUGEPAGE);
}

}  // namespace

Buffer::Buffer(std::size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  if (bytes > aligned(bytes) || aligned(bytes) + alignment < alignment) throw std::bad_alloc();
  std::size_t room = aligned(bytes) + alignment;
  memory_.reset(static_cast<std::byte*>(std::calloc(1, room)));
  void* start = memory_.get();
  if (start != nullptr) prefer_large_pages(start, room);
  if (std::align(alignment, bytes, start, room) == nullptr) throw std::bad_alloc();
  start_ = static_cast<std::byte*>(start);
}

}  // namespace lockstep
