//! Replays of many letters: remembered by all instances, and run by one at a time.

use super::{layout::text, place::Place};
use crate::{
    letters::{
        JobLease, MAX_JOBS,
        id::LetterId,
        job::{Job, JobStatus},
        record::{decoded, encoded},
    },
    redis::script::{Call, LEASE},
    store::Result,
};
use redis::Pipeline;

impl Place {
    pub(super) async fn save_job(&self, job: &Job) -> Result<()> {
        let record = encoded(job).map_err(|error| self.error(error))?;
        let jobs = &self.layout.jobs;
        let mut commands = Pipeline::new();
        commands.cmd("HSET").arg(jobs).arg(job.id.to_string()).arg(record);
        commands.cmd("HKEYS").arg(jobs);
        let ids = self.ask(&commands).await?.pop().unwrap_or(redis::Value::Nil);
        let mut ids: Vec<String> = self.read(ids)?;
        ids.sort_unstable();
        ids.truncate(ids.len().saturating_sub(MAX_JOBS));
        if ids.is_empty() {
            return Ok(());
        }
        let mut command = redis::cmd("HDEL");
        command.arg(jobs).arg(ids);
        self.ask_one(command).await
    }

    pub(super) async fn jobs(&self) -> Result<Vec<Job>> {
        let mut command = redis::cmd("HVALS");
        command.arg(&self.layout.jobs);
        let records: Vec<Vec<u8>> = self.ask_one(command).await?;
        let mut jobs: Vec<Job> = records.iter().filter_map(|record| decoded(record)).collect();
        jobs.sort_unstable_by_key(|job| job.id);
        Ok(jobs)
    }

    pub(super) async fn lease_job(&self, id: LetterId) -> Result<JobLease> {
        let call = Call {
            keys: vec![self.layout.lease(id.number()), self.layout.asked.clone()],
            arguments: vec![
                self.owner.clone(),
                self.config.lease.as_millis().to_string(),
                id.to_string(),
            ],
        };
        let (held, asked): (bool, Vec<u8>) = self.ask_script(&LEASE, &call).await?;
        if !held {
            return Ok(JobLease::Elsewhere);
        }
        self.leases().insert(id.number());
        Ok(JobLease::Held(decoded(&asked)))
    }

    pub(super) async fn ask_of_job(&self, id: LetterId, status: JobStatus) -> Result<()> {
        let status = encoded(&status).map_err(|error| self.error(error))?;
        let mut command = redis::cmd("HSET");
        command.arg(&self.layout.asked).arg(text(id.number())).arg(status);
        self.ask_one(command).await
    }

    /// Ends the leases of this instance, so that another one can take them at once.
    pub(super) async fn give_up_leases(&self) -> Result<()> {
        let leases = std::mem::take(&mut *self.leases());
        for key in leases.into_iter().map(|id| self.layout.lease(id)) {
            let mut command = redis::cmd("GET");
            command.arg(&key);
            let holder: Option<String> = self.ask_one(command).await?;
            if holder.as_deref() == Some(&*self.owner) {
                let mut command = redis::cmd("DEL");
                command.arg(key);
                let _: u64 = self.ask_one(command).await?;
            }
        }
        Ok(())
    }
}
