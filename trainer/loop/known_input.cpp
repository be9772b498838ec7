#include "trainer/loop/known_input.h"

namespace lockstep {

std::optional<InputFacts> known_input(const DataConfig& config) {
  const SyntheticConfig& synthetic = config.synthetic;
  switch (config.dataset) {
    case DataConfig::Dataset::fashion_mnist:
      return InputFacts{{28, 28, 1}, 10};
    case DataConfig::Dataset::cifar10:
      return InputFacts{{32, 32, 3}, 10};
    case DataConfig::Dataset::synthetic:
      return InputFacts{{synthetic.height, synthetic.width, synthetic.channels}, synthetic.classes};
    case DataConfig::Dataset::idx:
    case DataConfig::Dataset::image_folder:
      break;
  }
  return std::nullopt;
}

}  // namespace lockstep
