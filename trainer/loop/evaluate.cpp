#include "trainer/loop/evaluate.h"

namespace lockstep {

std::vector<Score> evaluate(Communicator& comm, Model& model, const std::shared_ptr<const Dataset>& dataset,
                            const Transform& transform, std::int64_t batch,
                            const std::vector<std::size_t>& entries) {
  comm.set_phase("evaluation");
  std::vector<BatchSums> totals(entries.size());
  Loader loader = Loader::evaluation(dataset, transform, model.layout(), batch);
  while (const LoadedBatch* loaded = loader.next()) {
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const BatchSums sums = model.evaluate(comm, loaded->input(), entries[i]);
      totals[i].loss += sums.loss;
      totals[i].correct += sums.correct;
      totals[i].samples += sums.samples;
    }
  }
  std::vector<Score> scores;
  for (const BatchSums& total : totals) {
    const auto samples = static_cast<double>(total.samples);
    scores.push_back({total.loss / samples, total.correct / samples, static_cast<std::int64_t>(total.correct),
                      total.samples});
  }
  return scores;
}

}  // namespace lockstep
