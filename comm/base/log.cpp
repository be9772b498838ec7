#include "comm/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>

#include <memory>

namespace lockstep {

void start_log(int rank) {
  auto logger =
      std::make_shared<spdlog::logger>("lockstep", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  if (rank == 0) {
    logger->set_pattern("%v");
    logger->set_level(spdlog::level::info);
  } else {
    logger->set_pattern(fmt::format("rank {}: %v", rank));
    logger->set_level(spdlog::level::warn);
  }
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace lockstep
