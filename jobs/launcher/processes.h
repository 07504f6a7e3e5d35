/* The processes of a job's container. */
#ifndef HIMALIA_PROCESSES_H
#define HIMALIA_PROCESSES_H

/* Send a signal to every process but the launcher. */
void signal_all(int signal);

/* Send a signal to those that have a handler for it: it harms nobody else. */
void warn_all(int signal);

/* Return how many processes of this container were killed for want of memory, by the count of its control group (v2, v1). */
long long count_oom_kills(void);

#endif
