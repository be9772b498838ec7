#include "trainer/loop/weight_average.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace lockstep {
namespace {

void average(std::span<std::byte> bytes, std::span<const std::byte> newest, float share) {
  auto* to = reinterpret_cast<float*>(bytes.data());
  const auto* from = reinterpret_cast<const float*>(newest.data());
  const std::size_t count = bytes.size() / sizeof(float);
  for (std::size_t i = 0; i < count; ++i) to[i] += share * (from[i] - to[i]);
}

void swap_bytes(const std::vector<ModelTensor>& one, const std::vector<ModelTensor>& other) {
  for (std::size_t i = 0; i < one.size(); ++i) std::ranges::swap_ranges(one[i].bytes, other[i].bytes);
}

}  // namespace

WeightAverage::WeightAverage(const std::vector<ModelTensor>& model, double decay)
    : share_(static_cast<float>(1 - decay)) {
  memory_.reserve(model.size());
  tensors_.reserve(model.size());
  for (const ModelTensor& tensor : model) {
    memory_.emplace_back(tensor.bytes.size());
    tensors_.push_back(tensor);
    tensors_.back().name = "ema_weights." + tensor.name;
    tensors_.back().bytes = {memory_.back().data(), tensor.bytes.size()};
  }
}

void WeightAverage::update(const std::vector<ModelTensor>& model, bool first, bool frozen) {
  for (std::size_t i = 0; i < model.size(); ++i) {
    if (model[i].derived && !frozen) continue;
    if (first || model[i].dtype != DType::f32) {
      std::memcpy(tensors_[i].bytes.data(), model[i].bytes.data(), model[i].bytes.size());
    } else {
      average(tensors_[i].bytes, model[i].bytes, share_);
    }
  }
}

WeightAverage::InPlace::InPlace(const WeightAverage& average, std::function<std::vector<ModelTensor>()> model)
    : average_(average), model_(std::move(model)) {
  swap_bytes(average_.tensors_, model_());
}

WeightAverage::InPlace::~InPlace() {
  swap_bytes(average_.tensors_, model_());
}

}  // namespace lockstep
