#include "trainer/loop/evaluate.h"

#include <fmt/format.h>

#include <algorithm>

#include "comm/base/error.h"
#include "trainer/loop/next_batch.h"

namespace lockstep {

std::vector<Score> evaluate(Communicator& comm, Model& model, const std::shared_ptr<const Dataset>& dataset,
                            const Transform& transform, std::int64_t batch,
                            const std::vector<std::size_t>& entries, int loader_threads) {
  comm.set_phase("evaluation");
  std::vector<BatchSums> totals(entries.size());
  Loader loader =
      Loader::evaluation(dataset, transform, model.layout(), batch, loader_threads, model.options().device);
  while (const LoadedBatch* loaded = next_batch(comm, loader)) {
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const TraceSpan span(comm.trace(), "work", "evaluate a batch");
      const BatchSums sums = entries[i] == batch_statistics
                                 ? model.evaluate_by_batch(comm, loaded->input())
                                 : model.evaluate(comm, loaded->input(), entries[i]);
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

void check_batch_statistics(const Model& model, std::int64_t samples, std::int64_t batch) {
  for (const std::int64_t size : {std::min(batch, samples), samples % batch}) {
    const std::string layer = size == 0 ? "" : model.undefined_variance(size);
    if (layer.empty()) continue;
    throw UsageError(
        fmt::format("an evaluation with batch statistics would see {} sample(s) in a batch: in layer '{}' a "
                    "channel would have a single value in a group of shards, and no variance. Set another "
                    "evaluation.batch (it is {}, for {} samples)",
                    size, layer, batch, samples));
  }
}

}  // namespace lockstep
