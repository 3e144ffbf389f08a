/* A portal of canned answers on loopback, in a thread of its own. It looks at each request that arrives whole: path,
   every header and the body must be what the scenarios send. Takes no memory while it runs. */
#ifndef OOM_SERVER_H
#define OOM_SERVER_H

/* Starts it. 0, or -1 with errno. */
int server_start(void);

/* Where it listens; and a port of this process on which nobody does. */
int server_port(void);
int server_closed_port(void);

/* Waits until every connection of a client is closed and all that it sent has been looked at, and takes the findings:
   how many whole requests came since the last time, and what was wrong with one of them, or "". The text is valid until
   the next time. 0, or -1 when a connection stays open. */
int server_settle(unsigned *requests, const char **complaint);

#endif
