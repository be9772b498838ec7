#include "trainer/loop/classify.h"

#include <algorithm>
#include <cmath>

#include "layers/tensor/buffer.h"

namespace lockstep {

std::vector<Guess> classify(Trained& trained, const Transform& transform,
                            std::span<const std::uint8_t> pixels, std::size_t top) {
  const InputFacts& input = trained.facts.input;
  const Buffer image(static_cast<std::size_t>(input.shape.elements()) * sizeof(float));
  transform.evaluation(pixels, image.as<float>());
  std::vector<float> logits(static_cast<std::size_t>(input.classes));
  const ShardInput shard{image.as<float>().data(), {}, 0, 1};
  trained.model.predict(shard, 0, logits);

  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  std::vector<Guess> guesses;
  for (std::size_t label = 0; label < logits.size(); ++label) {
    guesses.push_back({static_cast<std::int64_t>(label), std::exp(logits[label] - largest)});
    sum += guesses.back().probability;
  }
  for (Guess& guess : guesses) guess.probability /= sum;
  std::stable_sort(guesses.begin(), guesses.end(),
                   [](const Guess& a, const Guess& b) { return a.probability > b.probability; });
  guesses.resize(std::min(top, guesses.size()));
  return guesses;
}

}  // namespace lockstep
