# Exceedance scores of farringtonFlexible: the day before each week, 8 weeks back, for days that are wanted.
suppressMessages(library(surveillance))
arguments <- commandArgs(trailingOnly = TRUE)
for (i in seq_len(as.integer(arguments[2])) - 1) {
  read <- function(name) as.matrix(read.csv(file.path(arguments[1], paste0(name, i, ".csv")), header = FALSE))
  counts <- read("counts"); wanted <- read("wanted"); scores <- matrix(NaN, nrow(counts), ncol(counts))
  has_population <- file.exists(file.path(arguments[1], paste0("population", i, ".csv")))
  population <- if (has_population) read("population") else NULL
  for (series in seq_len(ncol(counts))) {
    days <- which(wanted[, series] == 1)
    if (length(days) == 0) next
    made <- sts(observed = counts[, series, drop = FALSE], start = c(1, 1), frequency = 7,
                population = if (has_population) population[, series, drop = FALSE] else NULL)
    found <- suppressWarnings(farringtonFlexible(made, control = list(
      range = days, b = 8, w = 1, weightsThreshold = 2.58, pastWeeksNotIncluded = 0, pThresholdTrend = 1, trend = FALSE,
      populationOffset = has_population, alpha = 0.01, thresholdMethod = "nbPlugin", noPeriods = 1, limit54 = c(0, 4))))
    expected <- found@control$expected; upper <- found@upperbound[, 1]
    scores[days, series] <- (counts[days, series] - expected) / pmax(upper - expected, 1e-6)
  }
  write.table(scores, file.path(arguments[1], paste0("score", i, ".csv")), sep = ",", na = "nan", row.names = FALSE, col.names = FALSE)
}
