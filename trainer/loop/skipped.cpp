#include "trainer/loop/skipped.h"

#include <string>

#include "comm/base/log.h"

namespace lockstep {

void tell_skipped(const Datasets& data) {
  if (data.skipped.empty()) return;
  for (const std::string& image : data.skipped) spdlog::warn("left out: {}", image);
  spdlog::warn("{} corrupt image(s) left out (data.on_corrupt: skip)", data.skipped.size());
}

}  // namespace lockstep
