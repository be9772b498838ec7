#include "layers/ops/memory.h"

#include <utility>

namespace lockstep {

std::span<float> MirroredArray::on_host() {
  if (count_ == 0) return {};
  if (device_->is_host()) return {there_.data<float>(), count_};
  if (!std::exchange(host_has_newest_, true)) {
    device_->wait();
    device_->copy_out(here_.data(), there_.data(), there_.size());
  }
  return {here_.data<float>(), count_};
}

std::span<float> MirroredArray::on_device() {
  if (count_ == 0) return {};
  if (std::exchange(host_has_newest_, false) && !device_->is_host()) {
    device_->copy_in(there_.data(), here_.data(), there_.size());
  }
  return {there_.data<float>(), count_};
}

}  // namespace lockstep
