#include "trainer/loop/weights.h"

#include <fmt/format.h>

#include <algorithm>

#include "trainer/loop/checkpoint.h"

namespace lockstep {
namespace {

constexpr std::string_view count_of_batches = ".num_batches_tracked";

// The model's tensors under the names that the file has for them.
std::vector<ModelTensor> as_named_in(const SafetensorsFile& file, Model& model) {
  std::vector<ModelTensor> tensors = model.state();
  const std::size_t parameters = model.parameters().size();
  const std::size_t an_entry = (tensors.size() - parameters) / model.options().running_statistics.size();
  for (std::size_t i = parameters + an_entry; i < tensors.size(); ++i) {
    const std::string& primary = tensors[parameters + (i - parameters) % an_entry].name;
    if (file.find(tensors[i].name) == nullptr) tensors[i].name = primary;
  }
  // PyTorch wrote no counts before version 0.4.1, and no network computes with them.
  std::erase_if(tensors, [&](const ModelTensor& tensor) {
    return tensor.name.ends_with(count_of_batches) && file.find(tensor.name) == nullptr;
  });
  return tensors;
}

void count_cumulative_anew(Model& model) {
  const auto& entries = model.options().running_statistics;
  const std::vector<ModelTensor> tensors = model.state();
  const std::size_t parameters = model.parameters().size();
  const std::size_t an_entry = (tensors.size() - parameters) / entries.size();
  for (std::size_t i = parameters; i < tensors.size(); ++i) {
    if (entries[(i - parameters) / an_entry].kind != RunningStatistics::Kind::cumulative) continue;
    if (tensors[i].name.ends_with(count_of_batches)) std::ranges::fill(tensors[i].bytes, std::byte{0});
  }
}

}  // namespace

void load_weights(const SafetensorsFile& file, const std::string& name, Model& model) {
  load_tensors(file, name, as_named_in(file, model), Purpose::weights);
  count_cumulative_anew(model);
}

}  // namespace lockstep
