#include "trainer/loop/lacking.h"

#include <fmt/format.h>

#include <atomic>
#include <new>
#include <string_view>
#include <system_error>

namespace lockstep {
namespace {

std::atomic<std::int64_t> last_step{0};  // thread workers share it

std::string_view what_lacks(const std::exception& error) {
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

}  // namespace

std::optional<Lack> lacking(const std::exception& error) {
  const std::string_view what = what_lacks(error);
  if (what.empty()) return std::nullopt;
  const std::int64_t step = last_step;
  if (step == 0) return Lack{ExitCode::usage, std::string(what)};
  return Lack{ExitCode::peer, fmt::format("after step {}, for which there was enough: {}", step, what)};
}

void plan_fits_at(std::int64_t step) {
  last_step = step;
}

}  // namespace lockstep
