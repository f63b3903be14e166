#!/bin/bash
# Runs a class of Kafka: kafka-run-class.sh CLASS [ARGUMENT ...]
# KAFKA_HEAP_OPTS, KAFKA_JVM_PERFORMANCE_OPTS, KAFKA_LOG4J_OPTS, KAFKA_JMX_OPTS, KAFKA_OPTS and CLASSPATH are the usual ones.
set -euo pipefail
kafka=/opt/kafka
class=${1:?kafka-run-class.sh needs a class}
shift

# A tool lives for a second: its own start counts more than its speed.
performance="-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
logging=$kafka/config/tools-log4j2.yaml
if [ "$class" = kafka.Kafka ]; then
  performance="-server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent"
  logging=$kafka/config/log4j2.yaml
fi
# Missing before the first start, when an empty file system is mounted over the folder.
[ -e "$logging" ] || logging=/etc/kafka/docker/${logging##*/}

# The variables hold several options each.
# shellcheck disable=SC2086
exec java ${KAFKA_HEAP_OPTS:--Xmx256M} ${KAFKA_JVM_PERFORMANCE_OPTS:-$performance} \
  -Djava.awt.headless=true -Dkafka.logs.dir="${LOG_DIR:-$kafka/logs}" ${KAFKA_JMX_OPTS:-} \
  ${KAFKA_LOG4J_OPTS:--Dlog4j2.configurationFile=$logging} -cp "$kafka/libs/*${CLASSPATH:+:$CLASSPATH}" ${KAFKA_OPTS:-} "$class" "$@"
