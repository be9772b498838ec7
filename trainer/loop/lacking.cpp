#include "trainer/loop/lacking.h"

#include <new>
#include <system_error>

namespace lockstep {

std::string lacking(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    return "out of memory: use a smaller batch.global or model, or more workers";
  }
  // What a thread's constructor throws.
  const auto* system = dynamic_cast<const std::system_error*>(&error);
  if (system != nullptr && system->code() == std::errc::resource_unavailable_try_again) {
    return "the system starts no more threads: use fewer threads, or fewer workers on this machine";
  }
  return "";
}

}  // namespace lockstep
